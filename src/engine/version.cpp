#include "chorus/version.h"

namespace chorus {

std::string_view version() { return CHORUS_VERSION; }

}  // namespace chorus
