#pragma once

/// chorus: batch generation with open-weight LLMs. README.md shows the first program.
#include "chorus/chat.h"
#include "chorus/engine.h"
#include "chorus/error.h"
#include "chorus/generate.h"
#include "chorus/harmony.h"
#include "chorus/json.h"
#include "chorus/model.h"
#include "chorus/replicas.h"
#include "chorus/request.h"
#include "chorus/result.h"
#include "chorus/sampling.h"
#include "chorus/tokenizer.h"
#include "chorus/version.h"
