#include "api/validation.h"

#include <fmt/format.h>

#include <algorithm>

namespace km::api {
namespace {

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool lowerAlnum(char c) { return lower(c) || digit(c); }
bool alnum(char c) { return lowerAlnum(c) || (c >= 'A' && c <= 'Z'); }

constexpr char kQualifiedName[] = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
constexpr char kLabel[] = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr char kSubdomain[] = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

std::string regexError(std::string_view message, std::string_view format, std::initializer_list<std::string_view> examples) {
  std::string out(message);
  if (examples.size() == 0) return out + fmt::format(" (regex used for validation is '{}')", format);
  out += " (e.g. ";
  bool first = true;
  for (std::string_view e : examples) {
    if (!first) out += " or ";
    first = false;
    out += fmt::format("'{}', ", e);
  }
  return out + fmt::format("regex used for validation is '{}')", format);
}

// Upstream's newer checks (qualified names, label values) count bytes, the older ones say characters.
std::string maxLength(int n) { return fmt::format("must be no more than {} characters", n); }
std::string maxBytes(int n) { return fmt::format("must be no more than {} bytes", n); }

bool matchesQualifiedName(std::string_view s) {
  return !s.empty() && alnum(s.front()) && alnum(s.back()) &&
         std::all_of(s.begin(), s.end(), [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool matchesLabel(std::string_view s) {
  return !s.empty() && lowerAlnum(s.front()) && lowerAlnum(s.back()) &&
         std::all_of(s.begin(), s.end(), [](char c) { return lowerAlnum(c) || c == '-'; });
}

bool matchesSubdomain(std::string_view s) {
  for (;;) {
    size_t dot = s.find('.');
    if (!matchesLabel(s.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    s.remove_prefix(dot + 1);
  }
}

}  // namespace

Messages isDns1123Label(std::string_view s) {
  Messages out;
  if (s.size() > 63) out.push_back(maxLength(63));
  if (!matchesLabel(s)) {
    if (matchesSubdomain(s)) {
      out.emplace_back("must not contain dots");
    } else {
      out.push_back(regexError(
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
          kLabel, {"my-name", "123-abc"}));
    }
  }
  return out;
}

Messages isDns1123Subdomain(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(maxLength(253));
  if (!matchesSubdomain(s)) {
    out.push_back(regexError(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        kSubdomain, {"example.com"}));
  }
  return out;
}

Messages isWildcardDns1123Subdomain(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(maxLength(253));
  if (s.substr(0, 2) != "*." || !matchesSubdomain(s.substr(2))) {
    out.push_back(regexError(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        std::string("\\*\\.") + kSubdomain, {"*.example.com"}));
  }
  return out;
}

Messages isDns1035Label(std::string_view s) {
  Messages out;
  if (s.size() > 63) out.push_back(maxLength(63));
  if (!matchesLabel(s) || !lower(s.front())) {
    out.push_back(regexError(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  }
  return out;
}

Messages isQualifiedName(std::string_view s) {
  constexpr char kMessage[] =
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  Messages out;
  std::string_view name = s;
  size_t slash = s.find('/');
  if (slash != std::string_view::npos) {
    std::string_view prefix = s.substr(0, slash);
    name = s.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) {
      out.push_back(fmt::format("a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                                regexError(kMessage, kQualifiedName, {"MyName", "my.name", "123-abc"})));
      return out;
    }
    if (prefix.empty()) {
      out.emplace_back("prefix part must be non-empty");
    } else {
      if (prefix.size() > 253) out.push_back("prefix part " + maxBytes(253));
      for (const std::string& m : isDns1123Subdomain(prefix.substr(0, 253))) out.push_back("prefix part " + m);
    }
  }
  if (name.empty()) {
    out.emplace_back("name part must be non-empty");
  } else if (name.size() > 63) {
    out.push_back("name part " + maxBytes(63));
  }
  if (!matchesQualifiedName(name)) {
    out.push_back("name part " + regexError(kMessage, kQualifiedName, {"MyName", "my.name", "123-abc"}));
  }
  return out;
}

Messages isValidLabelValue(std::string_view s) {
  Messages out;
  if (s.size() > 63) out.push_back(maxBytes(63));
  if (!s.empty() && !matchesQualifiedName(s)) {
    out.push_back(regexError(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        fmt::format("({})?", kQualifiedName), {"MyValue", "my_value", "12345"}));
  }
  return out;
}

Messages isValidPortNum(int64_t port) {
  if (port >= 1 && port <= 65535) return {};
  return {"must be between 1 and 65535, inclusive"};
}

Messages isValidPortName(std::string_view s) {
  Messages out;
  if (s.size() > 15) out.push_back(maxLength(15));
  if (s.empty() || !std::all_of(s.begin(), s.end(), [](char c) { return lowerAlnum(c) || c == '-'; })) {
    out.emplace_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!std::any_of(s.begin(), s.end(), lower)) out.emplace_back("must contain at least one letter (a-z)");
  if (s.find("--") != std::string_view::npos) out.emplace_back("must not contain consecutive hyphens");
  if (!s.empty() && (s.front() == '-' || s.back() == '-')) out.emplace_back("must not begin or end with a hyphen");
  return out;
}

Messages isEnvVarName(std::string_view s) {
  bool ok = !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= 0x20 && c <= 0x7e && c != '='; });
  if (ok) return {};
  if (s.empty()) return {"environment variable name must be non-empty"};
  return {"a valid environment variable name must consist only of printable ASCII characters other than '='"};
}

Messages isCIdentifier(std::string_view s) {
  if (!s.empty() && !digit(s[0]) && std::all_of(s.begin(), s.end(), [](char c) { return alnum(c) || c == '_'; })) return {};
  return {regexError(
      "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
      "[A-Za-z_][A-Za-z0-9_]*", {"my_name", "MY_NAME", "MyName"})};
}

Messages isConfigMapKey(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(maxLength(253));
  if (s.empty() || !std::all_of(s.begin(), s.end(), [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; })) {
    out.push_back(regexError("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+",
                             {"key.name", "KEY_NAME", "key-name"}));
  }
  if (s == ".") {
    out.emplace_back("must not be '.'");
  } else if (s == "..") {
    out.emplace_back("must not be '..'");
  } else if (s.substr(0, 2) == "..") {
    out.emplace_back("must not start with '..'");
  }
  return out;
}

Messages isHttpHeaderName(std::string_view s) {
  if (!s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return alnum(c) || c == '-'; })) return {};
  return {regexError("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", {"X-Header-Name"})};
}

Messages isValidPathSegmentName(std::string_view s) {
  if (s == "." || s == "..") return {fmt::format("may not be '{}'", s)};
  Messages out;
  if (s.find('/') != std::string_view::npos) out.emplace_back("may not contain '/'");
  if (s.find('%') != std::string_view::npos) out.emplace_back("may not contain '%'");
  return out;
}

}  // namespace km::api
