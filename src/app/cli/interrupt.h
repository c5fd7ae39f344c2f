#pragma once

namespace chorus::cli {

/// From here on, SIGINT and SIGTERM are noted instead of ending the program; a second one ends it.
void catch_interrupts();

/// The signal that came, or 0.
int interrupted();

}  // namespace chorus::cli
