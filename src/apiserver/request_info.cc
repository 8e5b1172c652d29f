#include "apiserver/request_info.h"

#include <algorithm>

namespace km::apiserver {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string verbOf(std::string_view method) {
  if (method == "POST") return "create";
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

}  // namespace

std::vector<std::string> pathSegments(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  while (!path.empty()) {
    size_t slash = path.find('/');
    out.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return out;
}

bool percentDecode(std::string_view text, bool plusIsSpace, std::string& out) {
  out.clear();
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += plusIsSpace && text[i] == '+' ? ' ' : text[i];
    }
  }
  return true;
}

Query::Query(std::string_view text) {
  while (!text.empty()) {
    size_t amp = text.find('&');
    std::string_view pair = text.substr(0, amp);
    text = amp == std::string_view::npos ? std::string_view() : text.substr(amp + 1);
    if (pair.empty()) continue;
    size_t eq = pair.find('=');
    std::string key, value;
    bool good =
        percentDecode(pair.substr(0, eq), true, key) &&
        percentDecode(eq == std::string_view::npos ? std::string_view() : pair.substr(eq + 1), true, value);
    if (!good || pair.find(';') != std::string_view::npos) {
      ok_ = false;
      continue;
    }
    pairs_.emplace_back(std::move(key), std::move(value));
  }
}

std::string_view Query::get(std::string_view key) const {
  for (const auto& [k, v] : pairs_) {
    if (k == key) return v;
  }
  return {};
}

bool Query::has(std::string_view key) const {
  return std::any_of(pairs_.begin(), pairs_.end(), [&](const auto& p) { return p.first == key; });
}

bool Query::flag(std::string_view key) const {
  return has(key) && get(key) != "0" && lower(get(key)) != "false";
}

std::vector<std::string_view> Query::all(std::string_view key) const {
  std::vector<std::string_view> out;
  for (const auto& [k, v] : pairs_) {
    if (k == key) out.push_back(v);
  }
  return out;
}

RequestInfo readRequestInfo(std::string_view method, std::string_view path, const Query& query) {
  RequestInfo info;
  if (!percentDecode(path, false, info.path)) info.path = path;
  info.verb = lower(method);
  std::vector<std::string> parts = pathSegments(info.path);
  if (parts.size() < 3) return info;  // no resource: /api/v1, /version
  size_t at = 1;
  if (parts[0] == "apis") {
    if (parts.size() < 4) return info;
    info.group = parts[at++];
  } else if (parts[0] != "api") {
    return info;
  }
  info.prefix = parts[0];
  info.isResource = true;
  info.version = parts[at++];
  info.verb = verbOf(method);
  // Old-style verbs in the path; upstream still answers "watch".
  bool watchPath = false;
  if (parts[at] == "proxy" || parts[at] == "watch") {
    if (parts.size() < at + 2) {
      info.isResource = false;
      return info;
    }
    watchPath = parts[at] == "watch";
    info.verb = parts[at++];
  }
  if (parts[at] == "namespaces") {
    if (parts.size() > at + 1) {
      info.ns = parts[at + 1];
      // "namespaces/x/status" is about the namespace itself.
      if (parts.size() > at + 2 && parts[at + 2] != "status" && parts[at + 2] != "finalize") at += 2;
    }
  }
  info.parts.assign(parts.begin() + static_cast<std::ptrdiff_t>(at), parts.end());
  if (!info.parts.empty()) info.resource = info.parts[0];
  if (info.parts.size() >= 2) info.name = info.parts[1];
  if (info.parts.size() >= 3) info.subresource = info.parts[2];
  if (info.name.empty() && info.verb == "get") {
    info.verb = query.flag("watch") ? "watch" : "list";
  }
  if (info.verb == "list" || info.verb == "watch") {
    // A field selector that names one object makes the request about that object, for authorization.
    std::string_view fs = query.get("fieldSelector");
    constexpr std::string_view kName = "metadata.name=";
    if (info.name.empty() && fs.starts_with(kName) && fs.find(',') == std::string_view::npos) {
      info.name = fs.substr(kName.size() + (fs.size() > kName.size() && fs[kName.size()] == '=' ? 1 : 0));
    }
  }
  if (info.name.empty() && info.verb == "delete") info.verb = "deletecollection";
  if (watchPath) info.verb = "watch";
  if (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection")
    info.fieldSelector = query.get("fieldSelector");
  return info;
}

}  // namespace km::apiserver
