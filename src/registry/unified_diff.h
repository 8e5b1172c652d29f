#pragma once

#include <string>
#include <vector>

namespace km::registry {

// A unified diff without headers, three lines around each change, matched as Python's difflib (and upstream's port of it)
// matches: longest block first, frequent lines ignored in long texts.
std::string unifiedDiff(const std::vector<std::string>& a, const std::vector<std::string>& b);

}  // namespace km::registry
