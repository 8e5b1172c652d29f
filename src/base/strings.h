// The few text helpers that the standard library lacks. Views point into the argument.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace km {

// As Go's strings.Split: "" gives one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);
// Before and after the first separator; nullopt without one.
std::optional<std::pair<std::string_view, std::string_view>> cut(std::string_view text, char separator);
std::string_view trimSpace(std::string_view text);  // ASCII white space
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string join(std::span<const std::string_view> parts, std::string_view separator);
std::string replaceAll(std::string_view text, std::string_view from, std::string_view to);
std::string toLower(std::string_view text);              // ASCII
std::string toUpper(std::string_view text);              // ASCII
bool equalFold(std::string_view a, std::string_view b);  // ASCII
bool contains(std::string_view text, std::string_view part);

// As Go's strconv.Quote: appends `text` in double quotes with Go's escapes (printable UTF-8 stays).
void appendQuoted(std::string& out, std::string_view text);
std::string quote(std::string_view text);

// The whole text as a decimal number, with an optional sign; nullopt if it is none or does not fit.
std::optional<int64_t> parseInt64(std::string_view text);
std::optional<uint64_t> parseUint64(std::string_view text);

// As Go's strconv.FormatFloat(value, 'g', -1, 64): the shortest text that reads back, 1e+06 from a million
// on.
std::string formatGoFloat(double value);
std::string formatGoFloat32(float value);  // bitSize 32

}  // namespace km
