#include "kubelet/image_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace km::kubelet {
namespace {

bool isLower(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool isHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// Alphanumeric words joined by one dot, one or two underscores, or dashes.
bool validComponent(std::string_view s) {
  if (s.empty() || !isLower(s.front()) || !isLower(s.back())) return false;
  for (size_t i = 0; i < s.size();) {
    if (isLower(s[i])) {
      i++;
      continue;
    }
    size_t begin = i;
    while (i < s.size() && !isLower(s[i])) i++;
    std::string_view joint = s.substr(begin, i - begin);
    bool dashes = joint.find_first_not_of('-') == std::string_view::npos;
    if (joint != "." && joint != "_" && joint != "__" && !dashes) return false;
  }
  return true;
}

bool validHost(std::string_view s) {
  size_t colon = s.rfind(':');
  bool bracket = s.starts_with('[');
  if (colon != std::string_view::npos && (!bracket || s[colon - 1] == ']')) {
    std::string_view port = s.substr(colon + 1);
    if (port.empty() ||
        !std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c); }))
      return false;
    s = s.substr(0, colon);
  }
  if (bracket) return s.size() > 2 && s.back() == ']';
  for (std::string_view label : split(s, '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](unsigned char c) { return std::isalnum(c) || c == '-'; }))
      return false;
  }
  return true;
}

bool validTag(std::string_view s) {
  if (s.empty() || s.size() > 128 || s[0] == '.' || s[0] == '-') return false;
  return std::all_of(s.begin(), s.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool validDigest(std::string_view s) {
  size_t colon = s.find(':');
  if (colon == std::string_view::npos || colon == 0 || !std::isalpha(static_cast<unsigned char>(s[0])))
    return false;
  std::string_view hex = s.substr(colon + 1);
  return hex.size() >= 32 &&
         std::all_of(hex.begin(), hex.end(), [](unsigned char c) { return std::isxdigit(c); });
}

}  // namespace

Status checkImageName(std::string_view name) {
  constexpr std::string_view kInvalid = "invalid reference format";
  constexpr size_t kMaxName = 255;
  if (name.size() == 64 && std::all_of(name.begin(), name.end(), isHex)) {
    return errors::failed(
        fmt::format("invalid repository name ({}), cannot specify 64-byte hexadecimal strings", name));
  }
  std::string_view rest = name, host;
  size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    std::string_view first = rest.substr(0, slash);
    bool upper = std::any_of(first.begin(), first.end(), [](unsigned char c) { return std::isupper(c); });
    if (first == "localhost" || first.find_first_of(".:") != std::string_view::npos || upper) {
      host = first;
      rest = rest.substr(slash + 1);
    }
  }
  size_t at = rest.find('@');
  std::string_view digest = at == std::string_view::npos ? "" : rest.substr(at + 1);
  std::string_view tagged = rest.substr(0, at);
  size_t colon = tagged.find(':', tagged.rfind('/') == std::string_view::npos ? 0 : tagged.rfind('/'));
  std::string_view path = tagged.substr(0, colon);
  // Checked first, so that it is said plainly.
  if (toLower(path) != path)
    return errors::failed(fmt::format("{}: repository name ({}) must be lowercase", kInvalid, path));
  if (!host.empty() && !validHost(host)) return errors::failed(kInvalid);
  for (std::string_view part : split(path, '/')) {
    if (!validComponent(part)) return errors::failed(kInvalid);
  }
  if (colon != std::string_view::npos && !validTag(tagged.substr(colon + 1))) return errors::failed(kInvalid);
  if (at != std::string_view::npos && !validDigest(digest)) return errors::failed(kInvalid);
  if (path.size() + host.size() > kMaxName)
    return errors::failed("repository name must not be more than 255 characters");
  return {};
}

}  // namespace km::kubelet
