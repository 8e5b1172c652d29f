#include "apiserver/routing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "base/strings.h"

namespace km::apiserver {
namespace {

using Types = std::vector<std::string_view>;

const Types& listMediaTypes() {
  static const Types types{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/json;stream=watch",
                           "application/vnd.kubernetes.protobuf;stream=watch"};
  return types;
}

const Types& logMediaTypes() {
  static const Types types{"text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
  return types;
}

const Types& anyMediaType() {
  static const Types types{"*/*"};
  return types;
}

constexpr std::string_view kPatchTypes[] = {"application/json-patch+json", "application/merge-patch+json",
                                            "application/strategic-merge-patch+json", "application/apply-patch+yaml"};

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// Calls f with each element of a header's list, without its parameters, until it returns true; whether it did.
template <typename F>
bool anyElement(std::string_view header, F f) {
  for (;;) {
    size_t comma = header.find(',');
    std::string_view one = header.substr(0, comma);
    if (f(trimmed(one.substr(0, one.find(';'))))) return true;
    // A comma at the end names nothing more.
    if (comma == std::string_view::npos || comma + 1 == header.size()) return false;
    header.remove_prefix(comma + 1);
  }
}

bool acceptable(std::string_view accept, const Types& produces) {
  if (accept.empty()) accept = "*/*";
  return anyElement(accept, [&](std::string_view type) {
    return type == "*/*" || std::any_of(produces.begin(), produces.end(), [&](std::string_view p) { return p == "*/*" || p == type; });
  });
}

Status notAcceptable(const Types& produces) {
  return {406, "NotAcceptable", fmt::format("406: Not Acceptable\n\nAvailable representations: {}", fmt::join(produces, ", ")), StatusDetails()};
}

// A way through the router: a method that a path takes.
struct Route {
  std::string_view method;
  const Types* produces;
};

// The routes whose templates match a path below a group version.
class Matcher {
 public:
  Matcher(const Resources& resources, const RequestInfo& info) : resources_(resources), info_(info) {}

  std::vector<Route> match(std::vector<std::string> tokens) {
    if (!tokens.empty() && tokens[0] == "watch") {
      watching_ = true;
      tokens.erase(tokens.begin());
    }
    size_t n = tokens.size();
    auto token = [&](size_t i) { return i < n ? std::string_view(tokens[i]) : std::string_view(); };
    // resource, resource/name, resource/name/subresource
    if (n >= 1) {
      if (const Served* s = find(token(0)); s != nullptr) {
        if (!s->resource->namespaced) {
          below(*s, n - 1, token(2));
        } else if (n == 1) {
          if (has(s->resource->verbs, "list")) add("GET", listMediaTypes());
        }
      }
    }
    // namespaces/NAMESPACE/resource/...
    if (n >= 3 && token(0) == "namespaces") {
      if (const Served* s = find(token(2)); s != nullptr && s->resource->namespaced) below(*s, n - 3, token(4));
    }
    return std::move(routes_);
  }

 private:
  static bool has(std::span<const std::string_view> verbs, std::string_view verb) {
    return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
  }
  const Served* find(std::string_view name) const { return resources_.find(info_.group, info_.version, name); }
  void add(std::string_view method, const Types& produces) { routes_.push_back({method, &produces}); }

  // `depth` tokens follow the resource: none is the collection, one an item, two a subresource, more what a proxy takes.
  void below(const Served& s, size_t depth, std::string_view sub) {
    const auto& verbs = s.resource->verbs;
    if (watching_) {
      if (depth <= 1 && has(verbs, "watch")) add("GET", listMediaTypes());
      return;
    }
    if (depth == 0) {
      if (has(verbs, "list")) add("GET", listMediaTypes());
      if (has(verbs, "create")) add("POST", objectMediaTypes());
      if (has(verbs, "deletecollection")) add("DELETE", objectMediaTypes());
    } else if (depth == 1) {
      single(verbs, objectMediaTypes());
      if (has(verbs, "delete")) add("DELETE", objectMediaTypes());
    } else if (const api::Subresource* r = s.subresource(sub); r != nullptr) {
      subresource(*r, depth);
    }
  }

  void single(std::span<const std::string_view> verbs, const Types& read) {
    if (has(verbs, "get")) add("GET", read);
    if (has(verbs, "update")) add("PUT", objectMediaTypes());
    if (has(verbs, "patch")) add("PATCH", objectMediaTypes());
  }

  void subresource(const api::Subresource& r, size_t depth) {
    if (r.name == "proxy") {
      for (std::string_view m : {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}) add(m, anyMediaType());
      return;
    }
    if (depth != 2) return;
    if (r.name == "exec" || r.name == "attach" || r.name == "portforward") {
      add("GET", anyMediaType());
      add("POST", anyMediaType());
      return;
    }
    single(r.verbs, r.name == "log" ? logMediaTypes() : objectMediaTypes());
    if (has(r.verbs, "create")) add("POST", objectMediaTypes());
    if (has(r.verbs, "delete")) add("DELETE", objectMediaTypes());
  }

  const Resources& resources_;
  const RequestInfo& info_;
  bool watching_ = false;
  std::vector<Route> routes_;
};

}  // namespace

const Types& objectMediaTypes() {
  static const Types types{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
  return types;
}

Status routeNotFound() {
  return {404, "NotFound", "the server could not find the requested resource", StatusDetails()};
}

Status routeMethodNotAllowed() {
  return {405, "MethodNotAllowed", "the server does not allow this method on the requested resource", StatusDetails()};
}

Status checkAccept(std::string_view accept, const Types& produces) {
  if (acceptable(accept, produces)) return {};
  return notAcceptable(produces);
}

Status checkRoute(const Resources& resources, const http::Request& request, const RequestInfo& info) {
  std::vector<std::string> tokens = pathSegments(info.path);
  tokens.erase(tokens.begin(), tokens.begin() + (info.group.empty() ? 2 : 3));
  std::vector<Route> routes = Matcher(resources, info).match(std::move(tokens));
  if (routes.empty()) return routeNotFound();
  std::erase_if(routes, [&](const Route& r) { return r.method != request.method; });
  if (routes.empty()) return routeMethodNotAllowed();
  if (request.method == "PATCH" && routes[0].produces != &anyMediaType()) {
    bool known = anyElement(request.headers.get("content-type"), [](std::string_view type) {
      return std::find(std::begin(kPatchTypes), std::end(kPatchTypes), type) != std::end(kPatchTypes);
    });
    if (!known) return {415, "UnsupportedMediaType", "415: Unsupported Media Type", StatusDetails()};
  }
  std::string_view accept = request.headers.get("accept");
  if (std::any_of(routes.begin(), routes.end(), [&](const Route& r) { return acceptable(accept, *r.produces); })) return {};
  Types offered;
  for (const Route& r : routes) offered.insert(offered.end(), r.produces->begin(), r.produces->end());
  return notAcceptable(offered);
}

}  // namespace km::apiserver
