#include "registry/core/image_reference.h"

#include <algorithm>

namespace km::registry {
namespace {

constexpr size_t kMaxPath = 255, kMaxTag = 128;

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool alnum(char c) { return lower(c) || upper(c) || digit(c); }
bool hex(char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

template <typename Is>
bool all(std::string_view s, Is is) {
  return !s.empty() && std::all_of(s.begin(), s.end(), is);
}

bool isDomain(std::string_view s) {
  std::string_view host = s;
  size_t colon = s.rfind(':');
  bool six = s.starts_with('[');
  size_t close = s.find(']');
  if (six && close == std::string_view::npos) return false;
  if (colon != std::string_view::npos && (!six || colon > close)) {
    host = s.substr(0, colon);
    if (!all(s.substr(colon + 1), digit)) return false;
  }
  if (six) return host.ends_with(']') && all(host.substr(1, host.size() - 2), [](char c) { return hex(c) || c == ':'; });
  for (;;) {
    size_t dot = host.find('.');
    std::string_view part = host.substr(0, dot);
    if (!all(part, [](char c) { return alnum(c) || c == '-'; }) || part.front() == '-' || part.back() == '-') return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

// Runs of letters and digits between ".", "_", "__" or dashes.
bool isPathComponent(std::string_view s) {
  auto word = [](char c) { return lower(c) || digit(c); };
  if (s.empty() || !word(s.front()) || !word(s.back())) return false;
  for (size_t i = 0; i < s.size();) {
    if (word(s[i])) {
      i++;
      continue;
    }
    size_t end = i;
    while (end < s.size() && !word(s[end])) end++;
    std::string_view separator = s.substr(i, end - i);
    if (separator != "." && separator != "_" && separator != "__" && !all(separator, [](char c) { return c == '-'; })) return false;
    i = end;
  }
  return true;
}

bool isPath(std::string_view s) {
  for (;;) {
    size_t slash = s.find('/');
    if (!isPathComponent(s.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    s.remove_prefix(slash + 1);
  }
}

bool isTag(std::string_view s) {
  auto word = [](char c) { return alnum(c) || c == '_'; };
  return !s.empty() && s.size() <= kMaxTag && word(s[0]) && all(s, [&](char c) { return word(c) || c == '.' || c == '-'; });
}

bool isDigest(std::string_view s) {
  size_t colon = s.find(':');
  if (colon == std::string_view::npos) return false;
  std::string_view algorithm = s.substr(0, colon), value = s.substr(colon + 1);
  size_t length = algorithm == "sha256" ? 64 : algorithm == "sha384" ? 96 : algorithm == "sha512" ? 128 : 0;
  return length != 0 && value.size() == length && all(value, [](char c) { return digit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::optional<std::string_view> imageTag(std::string_view image) {
  if (image.size() == 64 && all(image, [](char c) { return digit(c) || (c >= 'a' && c <= 'f'); })) return std::nullopt;
  std::string_view rest = image;
  size_t slash = image.find('/');
  std::string_view head = image.substr(0, slash);
  bool named = slash != std::string_view::npos && (head.find_first_of(".:") != std::string_view::npos || head == "localhost" ||
                                                   std::any_of(head.begin(), head.end(), upper));
  if (named) {
    if (!isDomain(head)) return std::nullopt;
    rest.remove_prefix(slash + 1);
  }
  size_t at = rest.find('@');
  bool digested = at != std::string_view::npos;
  if (digested && !isDigest(rest.substr(at + 1))) return std::nullopt;
  rest = rest.substr(0, at);
  size_t colon = rest.find(':');
  std::string_view path = rest.substr(0, colon);
  size_t prefix = named || path.find('/') != std::string_view::npos ? 0 : std::string_view("library/").size();
  if (!isPath(path) || path.size() + prefix > kMaxPath) return std::nullopt;
  if (colon == std::string_view::npos) return digested ? std::string_view() : std::string_view("latest");
  std::string_view tag = rest.substr(colon + 1);
  if (!isTag(tag)) return std::nullopt;
  return tag;
}

}  // namespace km::registry
