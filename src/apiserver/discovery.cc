#include "apiserver/discovery.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>

#include "api/types/apidiscovery_v2.h"
#include "api/types/meta_v1.h"
#include "apiserver/api_groups.h"
#include "apiserver/render.h"
#include "apiserver/routing.h"
#include "base/base64.h"
#include "codec/json.h"
#include "codec/proto.h"
#include "codec/yaml.h"
#include "registry/catalog.h"

namespace km::apiserver {
namespace {

using api::meta_v1::APIGroup;
using api::meta_v1::APIGroupList;
using api::meta_v1::APIResourceList;
using api::meta_v1::APIVersions;

// The first bytes of a hash of "group/version/kind".
std::string versionHash(std::string_view group, std::string_view version, std::string_view kind) {
  std::string text = fmt::format("{}/{}/{}", group, version, kind);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base64Encode({reinterpret_cast<const char*>(digest), 8});
}

// Tells clients whether two servers store a resource alike.
std::string storageVersionHash(const api::Resource& r) {
  const api::Resource* stored = registry::storageResource(r);
  // Some are still stored as upstream's previous version has them.
  bool older = r.name == "customresourcedefinitions" || r.name.starts_with("mutatingadmissionpolic");
  if (older) return versionHash(stored->group, "v1beta1", stored->kind);
  return versionHash(stored->group, stored->version, stored->kind);
}

std::string groupVersion(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

// Newer versions first: v2 before v1, v1 before v1beta1.
bool versionBefore(std::string_view a, std::string_view b) {
  auto rank = [](std::string_view v) {
    int stage = v.find("alpha") != std::string_view::npos ? 0 : v.find("beta") != std::string_view::npos ? 1 : 2;
    int major = v.size() > 1 ? v[1] - '0' : 0;
    return std::make_tuple(stage, major, v.size() > 2 ? v.back() : '0');
  };
  return rank(a) > rank(b);
}

void addServerAddress(codec::List<api::meta_v1::ServerAddressByClientCIDR>& list, const std::string& address) {
  auto& a = list.add();
  a.clientCIDR = "0.0.0.0/0";
  a.serverAddress = address;
}

void fillGroup(APIGroup& g, const Resources& resources, std::string_view group) {
  g.name = group;
  for (std::string_view v : Discovery::versions(resources, group)) {
    auto& each = g.versions.add();
    each.groupVersion = groupVersion(group, v);
    each.version = v;
  }
  g.preferredVersion = g.versions[0];
}

void addResource(APIResourceList& list, const Served& s) {
  const api::Resource& r = *s.resource;
  auto& e = list.resources.add();
  e.name = r.name;
  e.singularName = r.singular;
  e.namespaced = r.namespaced;
  e.kind = r.kind;
  for (auto v : r.verbs) e.verbs.items.push_back(v);
  for (auto v : r.shortNames) e.shortNames.push_back(v);
  for (auto v : r.categories) e.categories.push_back(v);
  if (s.registry != nullptr) e.storageVersionHash = storageVersionHash(r);
  for (const api::Subresource& sub : r.subresources) {
    auto& x = list.resources.add();
    x.name = fmt::format("{}/{}", r.name, sub.name);
    x.namespaced = r.namespaced;
    x.kind = sub.kind;
    if (sub.foreignKind) {
      x.group = sub.group;
      x.version = sub.version;
    }
    for (auto v : sub.verbs) x.verbs.items.push_back(v);
  }
}

void addAggregated(api::apidiscovery_v2::APIVersionDiscovery& version, const api::Resource& r) {
  auto& e = version.resources.add();
  e.resource = r.name;
  e.responseKind.emplace().kind = r.kind;
  e.scope = r.namespaced ? "Namespaced" : "Cluster";
  e.singularResource = r.singular;
  for (auto v : r.verbs) e.verbs.push_back(v);
  for (auto v : r.shortNames) e.shortNames.push_back(v);
  for (auto v : r.categories) e.categories.push_back(v);
  for (const api::Subresource& sub : r.subresources) {
    auto& x = e.subresources.add();
    x.subresource = sub.name;
    auto& kind = x.responseKind.emplace();
    kind.kind = sub.kind;
    if (sub.foreignKind) {
      kind.group = sub.group;
      kind.version = sub.version;
    }
    for (auto v : sub.verbs) x.verbs.push_back(v);
  }
}

// What upstream's router serves takes GET alone, and looks at the accepted types first.
bool routed(const HttpCallPtr& http) {
  Status s = http->request().method == "GET" ? checkAccept(http->request().headers.get("accept"), objectMediaTypes()) : routeMethodNotAllowed();
  if (s.ok()) return true;
  http->fail(s);
  return false;
}

}  // namespace

Discovery::Discovery(const Resources& resources, std::string serverAddress)
    : resources_(resources), serverAddress_(std::move(serverAddress)) {}

std::vector<std::string_view> Discovery::groups(const Resources& resources) {
  std::vector<std::string_view> out;
  for (const ApiGroup& g : apiGroups()) {
    if (!g.name.empty() && resources.hasGroup(g.name)) out.push_back(g.name);
  }
  for (const Served& s : resources.all()) {
    std::string_view g = s.resource->group;
    if (!g.empty() && std::find(out.begin(), out.end(), g) == out.end()) out.push_back(g);
  }
  return out;
}

std::vector<std::string_view> Discovery::versions(const Resources& resources, std::string_view group) {
  std::vector<std::string_view> out;
  for (const Served& s : resources.all()) {
    if (s.resource->group == group && std::find(out.begin(), out.end(), s.resource->version) == out.end()) out.push_back(s.resource->version);
  }
  std::sort(out.begin(), out.end(), versionBefore);
  return out;
}

void Discovery::answer(const HttpCallPtr& http, const codec::TypeInfo& type, const void* object, std::string_view apiVersion) const {
  const auto& headers = http->request().headers;
  auto f = negotiate(headers.get("accept"), http->query.get("pretty"), http->query.has("pretty"), headers.get("user-agent"), Forms::kPlain);
  if (!f.ok()) return http->fail(f.status());
  http->format = *f;
  std::string out;
  if (f->encoding == Encoding::kProto) {
    codec::encodeEnveloped(out, object, type, apiVersion);
    return http->answer(200, http::Body(std::move(out)), f->contentType());
  }
  if (apiVersion.empty()) {
    // APIVersions and its like say their kind only.
    codec::encodeJson(out, object, type, "");
    out = fmt::format("{{\"kind\":\"{}\",{}", type.name, std::string_view(out).substr(1));
  } else {
    codec::encodeJson(out, object, type, apiVersion);
  }
  if (f->encoding == Encoding::kYaml) return http->answer(200, http::Body(std::move(codec::jsonToYaml(out)).value()), f->contentType());
  http->answerJson(200, std::move(out));
}

bool Discovery::answerAggregated(const HttpCallPtr& http, bool core) const {
  std::string_view accept = http->request().headers.get("accept");
  // Clients list this form first, then the plain one for older servers.
  size_t as = accept.find("as=APIGroupDiscoveryList");
  if (as == std::string_view::npos) return false;
  size_t clause = accept.rfind(',', as);
  std::string_view mine = accept.substr(clause == std::string_view::npos ? 0 : clause + 1);
  mine = mine.substr(0, mine.find(','));
  if (mine.find("g=apidiscovery.k8s.io") == std::string_view::npos || (mine.find("v=v2;") == std::string_view::npos && !mine.ends_with("v=v2"))) return false;
  bool proto = mine.find("vnd.kubernetes.protobuf") != std::string_view::npos;
  api::apidiscovery_v2::APIGroupDiscoveryList list;
  auto addGroup = [&](std::string_view group) {
    auto& g = list.items.add();
    g.metadata.name = group;
    for (std::string_view v : versions(resources_, group)) {
      auto& version = g.versions.add();
      version.version = v;
      version.freshness = "Current";
      for (const Served& s : resources_.all()) {
        if (s.resource->group == group && s.resource->version == v) addAggregated(version, *s.resource);
      }
    }
  };
  if (core) {
    addGroup("");
  } else {
    for (std::string_view g : groups(resources_)) addGroup(g);
  }
  std::string out;
  const char* suffix = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  http::Headers headers = http->headers(std::string(proto ? "application/vnd.kubernetes.protobuf" : "application/json") + suffix);
  if (proto) {
    codec::encodeEnveloped(out, &list, list.kType, list.kType.apiVersion);
  } else {
    codec::encodeJson(out, &list, list.kType);
    out += '\n';
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(out.data()), out.size(), digest);
  std::string etag = "\"";
  for (unsigned char c : digest) etag += fmt::format("{:02X}", c);
  etag += '"';
  headers.add("etag", etag);
  headers.add("vary", "Accept");
  headers.set("cache-control", "public");
  if (http->request().headers.get("if-none-match") == etag) {
    http->exchange->respond(304, std::move(headers), {});
  } else {
    http->exchange->respond(200, std::move(headers), http::Body(std::move(out)));
  }
  return true;
}

void Discovery::answerResources(const HttpCallPtr& http, std::string_view group, std::string_view version) const {
  APIResourceList list;
  list.groupVersion = groupVersion(group, version);
  for (const Served& s : resources_.all()) {
    if (s.resource->group == group && s.resource->version == version) addResource(list, s);
  }
  // By name, a resource's subresources behind it.
  std::vector<api::meta_v1::APIResource> sorted(list.resources.begin(), list.resources.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  list.resources.clear();
  for (auto& r : sorted) list.resources.push_back(std::move(r));
  answer(http, APIResourceList::kType, &list, group.empty() ? "" : "v1");
}

bool Discovery::handle(const HttpCallPtr& http) const {
  std::string_view path = http->info.path;
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  if (path == "/api") {
    if (!routed(http) || answerAggregated(http, true)) return true;
    APIVersions v;
    v.versions.push_back("v1");
    addServerAddress(v.serverAddressByClientCIDRs, serverAddress_);
    answer(http, APIVersions::kType, &v, "");
    return true;
  }
  if (path == "/apis") {
    // Groups are told by the aggregator, whatever the method.
    if (answerAggregated(http, false)) return true;
    APIGroupList list;
    for (std::string_view g : groups(resources_)) fillGroup(list.groups.add(), resources_, g);
    answer(http, APIGroupList::kType, &list, "v1");
    return true;
  }
  if (path == "/api/v1") {
    if (routed(http)) answerResources(http, "", "v1");
    return true;
  }
  if (!path.starts_with("/apis/")) return false;
  std::string_view rest = path.substr(6);
  size_t slash = rest.find('/');
  std::string_view group = rest.substr(0, slash);
  if (slash == std::string_view::npos) {
    if (group.empty() || !resources_.hasGroup(group)) return false;
    APIGroup g;
    fillGroup(g, resources_, group);
    answer(http, APIGroup::kType, &g, "v1");
    return true;
  }
  std::string_view version = rest.substr(slash + 1);
  if (version.find('/') != std::string_view::npos || group.empty() || !resources_.hasGroupVersion(group, version)) return false;
  if (routed(http)) answerResources(http, group, version);
  return true;
}

}  // namespace km::apiserver
