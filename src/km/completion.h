// Completion of command lines by shells.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace km {

// The script for "bash", "zsh" or "fish"; "" for another shell.
std::string completionScript(std::string_view shell, std::string_view program);

// What the last of the words behind the program's name may become: a line each, "WORD\tdescription". Nothing where names of files are
// wanted.
std::string completions(const std::vector<std::string>& words);

}  // namespace km
