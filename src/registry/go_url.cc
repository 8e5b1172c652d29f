#include "registry/go_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "api/field_error.h"

namespace km::registry {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool isHex(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

// What is wrong with the escapes of a part; hosts may only escape bytes that are no ASCII.
std::string badEscape(std::string_view part, bool host) {
  for (size_t i = 0; i < part.size(); i++) {
    char c = part[i];
    if (c == '%') {
      bool whole = i + 2 < part.size() && isHex(part[i + 1]) && isHex(part[i + 2]);
      bool plain = whole && host && part[i + 1] < '8' && part.substr(i, 3) != "%25";
      if (!whole || plain) return fmt::format("invalid URL escape {}", api::goQuote(part.substr(i, 3)));
      i += 2;
    } else if (host && static_cast<unsigned char>(c) < 0x80 && !std::isalnum(static_cast<unsigned char>(c)) &&
               std::string_view("-._~!$&'()*+,;=:[]<>\"").find(c) == kNone) {
      return fmt::format("invalid character {} in host name", api::goQuote(part.substr(i, 1)));
    }
  }
  return "";
}

std::string badHost(std::string_view host) {
  std::string_view port;
  if (host.starts_with('[')) {
    size_t end = host.rfind(']');
    if (end == kNone) return "missing ']' in host";
    port = host.substr(end + 1);
  } else if (size_t colon = host.rfind(':'); colon != kNone) {
    port = host.substr(colon);
  }
  bool digits = port.empty() || (port[0] == ':' && std::all_of(port.begin() + 1, port.end(), [](char c) { return c >= '0' && c <= '9'; }));
  if (!digits) return fmt::format("invalid port {} after host", api::goQuote(port));
  return badEscape(host, true);
}

std::string badUser(std::string_view user) {
  bool known = std::all_of(user.begin(), user.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._:~!$&'()*+,;=%@").find(c) != kNone;
  });
  return known ? badEscape(user, false) : "net/url: invalid userinfo";
}

// Takes the scheme off the text, if there is one.
std::string takeScheme(std::string_view& text, std::string& scheme) {
  for (size_t i = 0; i < text.size(); i++) {
    unsigned char c = text[i];
    if (std::isalpha(c)) continue;
    if (c == ':') {
      if (i == 0) return "missing protocol scheme";
      scheme = text.substr(0, i);
      std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](unsigned char l) { return std::tolower(l); });
      text.remove_prefix(i + 1);
      return "";
    }
    bool inside = std::isdigit(c) || c == '+' || c == '-' || c == '.';
    if (i == 0 || !inside) return "";
  }
  return "";
}

std::string parse(std::string_view text, GoUrl& u) {
  bool control = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (control) return "net/url: invalid control character in URL";
  if (std::string bad = takeScheme(text, u.scheme); !bad.empty()) return bad;
  if (size_t q = text.find('?'); q != kNone) {
    u.query = text.substr(q + 1);
    text = text.substr(0, q);
  }
  if (!text.starts_with('/')) {
    if (!u.scheme.empty()) return "";  // opaque: "mailto:somebody"
    if (text.substr(0, text.find('/')).find(':') != kNone) return "first path segment in URL cannot contain colon";
  }
  if (text.starts_with("//") && (!u.scheme.empty() || !text.starts_with("///"))) {
    std::string_view authority = text.substr(2, text.find('/', 2) - 2);
    text.remove_prefix(2 + authority.size());
    size_t at = authority.rfind('@');
    u.host = authority.substr(at == kNone ? 0 : at + 1);
    if (std::string bad = badHost(u.host); !bad.empty()) return bad;
    if (at != kNone) {
      u.user = authority.substr(0, at);
      if (std::string bad = badUser(*u.user); !bad.empty()) return bad;
    }
  }
  u.path = text;
  return badEscape(u.path, false);
}

}  // namespace

Result<GoUrl> parseGoUrl(std::string_view text) {
  GoUrl u;
  size_t hash = text.find('#');
  std::string_view before = text.substr(0, hash);
  std::string bad = parse(before, u);
  if (!bad.empty()) return errors::badRequest(fmt::format("parse {}: {}", api::goQuote(before), bad));
  if (hash != kNone) {
    u.fragment = text.substr(hash + 1);
    bad = badEscape(u.fragment, false);
    if (!bad.empty()) return errors::badRequest(fmt::format("parse {}: {}", api::goQuote(text), bad));
  }
  return u;
}

}  // namespace km::registry
