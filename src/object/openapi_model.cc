#include "object/openapi_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/object.h"
#include "api/types/authentication_v1.h"
#include "api/types/autoscaling_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/policy_v1.h"
#include "base/strings.h"

namespace km::object {
namespace {

using api::Resource;
using api::Subresource;
using codec::TypeInfo;

const std::vector<QueryParameter> kListQuery = {{"allowWatchBookmarks", "boolean"},
                                                {"continue"},
                                                {"fieldSelector"},
                                                {"labelSelector"},
                                                {"limit", "integer"},
                                                {"resourceVersion"},
                                                {"resourceVersionMatch"},
                                                {"sendInitialEvents", "boolean"},
                                                {"shardSelector"},
                                                {"timeoutSeconds", "integer"},
                                                {"watch", "boolean"}};
const std::vector<QueryParameter> kWriteQuery = {{"dryRun"}, {"fieldManager"}, {"fieldValidation"}};
const std::vector<QueryParameter> kPatchQuery = {
    {"dryRun"}, {"fieldManager"}, {"fieldValidation"}, {"force", "boolean"}};
const std::vector<QueryParameter> kDeleteQuery = {
    {"dryRun"},
    {"gracePeriodSeconds", "integer"},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"},
    {"orphanDependents", "boolean"},
    {"propagationPolicy"}};
const std::vector<QueryParameter> kDeleteCollectionQuery = {
    {"continue"},
    {"dryRun"},
    {"fieldSelector"},
    {"gracePeriodSeconds", "integer"},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"},
    {"labelSelector"},
    {"limit", "integer"},
    {"orphanDependents", "boolean"},
    {"propagationPolicy"},
    {"resourceVersion"},
    {"resourceVersionMatch"},
    {"sendInitialEvents", "boolean"},
    {"shardSelector"},
    {"timeoutSeconds", "integer"}};

std::string title(std::string_view s) {
  std::string out(s);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// "rbac.authorization.k8s.io" -> "rbacAuthorization"; "" -> "core".
std::string groupWord(std::string_view group) {
  if (group.empty()) return "core";
  if (group.ends_with(".k8s.io")) group.remove_suffix(7);
  std::string out;
  for (std::string_view part : split(group, '.')) out += out.empty() ? std::string(part) : title(part);
  return out;
}

bool has(std::span<const std::string_view> verbs, std::string_view verb) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

// Resources whose deletion answers with the object.
bool returnsDeleted(const Resource& r) {
  static const std::set<std::string_view> kNames = {"pods",
                                                    "podtemplates",
                                                    "persistentvolumeclaims",
                                                    "persistentvolumes",
                                                    "resourcequotas",
                                                    "serviceaccounts",
                                                    "services",
                                                    "csidrivers",
                                                    "csinodes",
                                                    "storageclasses",
                                                    "volumeattachments",
                                                    "deviceclasses",
                                                    "resourceclaims",
                                                    "resourceclaimtemplates",
                                                    "resourceslices",
                                                    "volumeattributesclasses"};
  return kNames.count(r.name) != 0;
}

const TypeInfo* typeOf(const Resource& r, const Subresource& s) {
  if (s.kind == r.kind) return r.type;
  if (s.kind == "Scale") return &api::autoscaling_v1::Scale::kType;
  if (s.kind == "Eviction") return &api::policy_v1::Eviction::kType;
  if (s.kind == "TokenRequest") return &api::authentication_v1::TokenRequest::kType;
  const Resource* other = api::findResourceByKind(s.group, s.version, s.kind);
  return other != nullptr ? other->type : nullptr;
}

class Builder {
 public:
  explicit Builder(std::map<std::string, ApiDocument>& documents) : documents_(documents) {}

  void add(const Resource& r) {
    base_ =
        r.group.empty() ? fmt::format("/api/{}", r.version) : fmt::format("/apis/{}/{}", r.group, r.version);
    document_ = &documents_[base_.substr(1)];
    document_->id = base_.substr(1);
    r_ = &r;
    word_ = title(groupWord(r.group)) + title(r.version);
    scope_ = r.namespaced ? "Namespaced" : "";
    std::string collection = r.namespaced ? base_ + "/namespaces/{namespace}/" : base_ + "/";
    collection += r.name;
    collectionPath(collection);
    if (r.namespaced && has(r.verbs, "list")) {
      path(base_ + "/" + std::string(r.name), {}, true).operations.push_back(list("ForAllNamespaces", ""));
    }
    itemPath(collection + "/{name}");
    if (has(r.verbs, "watch")) watches();
    for (const Subresource& s : r.subresources) subresource(collection + "/{name}/" + std::string(s.name), s);
    std::erase_if(document_->paths, [](const ApiPath& p) { return p.operations.empty(); });
  }

 private:
  ApiPath& path(std::string text, std::vector<std::string_view> parameters, bool pretty) {
    ApiPath& p = document_->paths.emplace_back();
    p.path = std::move(text);
    p.kind = r_->kind;
    p.parameters = std::move(parameters);
    p.pretty = pretty;
    return p;
  }

  std::vector<std::string_view> parameters(bool name) const {
    std::vector<std::string_view> out;
    if (name) out.push_back("name");
    if (r_->namespaced) out.push_back("namespace");
    return out;
  }

  Operation operation(std::string_view method, std::string action, std::string id) const {
    Operation o;
    o.method = method;
    o.action = std::move(action);
    o.id = std::move(id);
    o.group = r_->group;
    o.version = r_->version;
    o.kind = r_->kind;
    o.tag = groupWord(r_->group) + "_" + std::string(r_->version);
    o.codes = {200};
    return o;
  }

  static void answer(Operation& o, const TypeInfo* t) {
    o.answerType = t;
    if (t != nullptr) o.answer = definitionName(*t);
  }

  Operation list(std::string_view suffix, std::string_view scope) const {
    Operation o = operation("get", "list", fmt::format("list{}{}{}{}", word_, scope, r_->kind, suffix));
    o.query = kListQuery;
    o.produces = Produces::kList;
    answer(o, r_->listType);
    return o;
  }

  Operation watch(std::string action, std::string id) const {
    Operation o = operation("get", std::move(action), std::move(id));
    o.query = kListQuery;
    o.produces = Produces::kList;
    o.answer = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
    return o;
  }

  Operation write(std::string_view method, std::string action, std::string id, const TypeInfo* t) const {
    Operation o = operation(method, std::move(action), std::move(id));
    o.query = o.action == "patch" ? kPatchQuery : kWriteQuery;
    o.body = o.action == "patch" ? Body::kPatch : Body::kObject;
    o.bodyType = t;
    answer(o, t);
    o.codes = o.action == "post" ? std::vector<int>{200, 201, 202} : std::vector<int>{200, 201};
    return o;
  }

  void collectionPath(const std::string& text) {
    ApiPath& p = path(text, parameters(false), true);
    if (has(r_->verbs, "list")) p.operations.push_back(list("", scope_));
    if (has(r_->verbs, "create")) {
      p.operations.push_back(
          write("post", "post", fmt::format("create{}{}{}", word_, scope_, r_->kind), r_->type));
    }
    if (has(r_->verbs, "deletecollection")) {
      Operation o = operation("delete", "deletecollection",
                              fmt::format("delete{}Collection{}{}", word_, scope_, r_->kind));
      o.query = kDeleteCollectionQuery;
      o.body = Body::kDeleteOptions;
      answer(o, &api::meta_v1::Status::kType);
      p.operations.push_back(std::move(o));
    }
  }

  void itemPath(const std::string& text) {
    ApiPath& p = path(text, parameters(true), true);
    auto id = [&](std::string_view verb) { return fmt::format("{}{}{}{}", verb, word_, scope_, r_->kind); };
    if (has(r_->verbs, "get")) {
      Operation o = operation("get", "get", id("read"));
      answer(o, r_->type);
      p.operations.push_back(std::move(o));
    }
    if (has(r_->verbs, "update")) p.operations.push_back(write("put", "put", id("replace"), r_->type));
    if (has(r_->verbs, "delete")) {
      Operation o = operation("delete", "delete", id("delete"));
      o.query = kDeleteQuery;
      o.body = Body::kDeleteOptions;
      answer(o, returnsDeleted(*r_) ? r_->type : &api::meta_v1::Status::kType);
      o.codes = {200, 202};
      p.operations.push_back(std::move(o));
    }
    if (has(r_->verbs, "patch")) p.operations.push_back(write("patch", "patch", id("patch"), r_->type));
  }

  void watches() {
    std::string root = base_ + "/watch/";
    std::string collection = r_->namespaced ? root + "namespaces/{namespace}/" : root;
    collection += r_->name;
    path(collection, parameters(false), true)
        .operations.push_back(watch("watchlist", fmt::format("watch{}{}{}List", word_, scope_, r_->kind)));
    path(collection + "/{name}", parameters(true), true)
        .operations.push_back(watch("watch", fmt::format("watch{}{}{}", word_, scope_, r_->kind)));
    if (!r_->namespaced) return;
    path(root + std::string(r_->name), {}, true)
        .operations.push_back(
            watch("watchlist", fmt::format("watch{}{}ListForAllNamespaces", word_, r_->kind)));
  }

  void subresource(const std::string& text, const Subresource& s) {
    std::string name = std::string(r_->kind) + title(s.name);
    if (s.kind.ends_with("Options")) return connections(text, s, name);
    const TypeInfo* type = typeOf(*r_, s);
    ApiPath& p = path(text, parameters(true), true);
    auto id = [&](std::string_view verb) { return fmt::format("{}{}{}{}", verb, word_, scope_, name); };
    auto put = [&](Operation o) {
      o.group = s.group;
      o.version = s.version;
      o.kind = s.kind;
      p.operations.push_back(std::move(o));
    };
    if (has(s.verbs, "get")) {
      Operation o = operation("get", "get", id("read"));
      if (s.name == "log") {
        o.query = {{"container"},
                   {"follow", "boolean"},
                   {"insecureSkipTLSVerifyBackend", "boolean"},
                   {"limitBytes", "integer"},
                   {"previous", "boolean"},
                   {"sinceSeconds", "integer"},
                   {"stream"},
                   {"tailLines", "integer"},
                   {"timestamps", "boolean"}};
        o.produces = Produces::kLog;
      } else {
        answer(o, type);
      }
      put(std::move(o));
    }
    if (has(s.verbs, "update")) put(write("put", "put", id("replace"), type));
    if (has(s.verbs, "create")) put(write("post", "post", id("create"), type));
    if (has(s.verbs, "patch")) put(write("patch", "patch", id("patch"), type));
  }

  void connections(const std::string& text, const Subresource& s, const std::string& name) {
    static const std::vector<QueryParameter> kAttach = {{"container"},
                                                        {"stderr", "boolean"},
                                                        {"stdin", "boolean"},
                                                        {"stdout", "boolean"},
                                                        {"tty", "boolean"}};
    std::vector<QueryParameter> query = kAttach;
    if (s.name == "exec") query.insert(query.begin(), {"command"});
    if (s.name == "portforward") query = {{"ports", "integer"}};
    bool proxy = s.name == "proxy";
    if (proxy) query = {{"path"}};
    for (bool deep : {false, true}) {
      if (deep && !proxy) break;
      ApiPath& p = path(deep ? text + "/{path}" : text, parameters(true), false);
      if (deep) p.parameters.push_back("path");
      auto methods =
          proxy ? std::vector<std::string_view>{"get", "put", "post", "delete", "options", "head", "patch"}
                : std::vector<std::string_view>{"get", "post"};
      for (std::string_view m : methods) {
        Operation o = operation(
            m, "connect",
            fmt::format("connect{}{}{}{}{}", word_, title(m), scope_, name, deep ? "WithPath" : ""));
        o.kind = s.kind;
        o.query = query;
        o.produces = Produces::kAnything;
        p.operations.push_back(std::move(o));
      }
    }
  }

  std::map<std::string, ApiDocument>& documents_;
  ApiDocument* document_ = nullptr;
  const Resource* r_ = nullptr;
  std::string base_, word_;
  std::string_view scope_;
};

void addDiscovery(std::map<std::string, ApiDocument>& documents, const std::string& id,
                  std::string operationId, std::string tag, const TypeInfo* type, Produces produces,
                  std::string answer = {}) {
  ApiDocument& d = documents[id];
  d.id = id;
  ApiPath& p = d.paths.emplace_back();
  p.path = "/" + id + "/";
  Operation o;
  o.method = "get";
  o.id = std::move(operationId);
  o.tag = std::move(tag);
  o.answer = type != nullptr ? definitionName(*type) : answer;
  o.answerType = type;
  o.codes = {200};
  o.produces = produces;
  p.operations.push_back(std::move(o));
}

}  // namespace

std::string definitionName(const TypeInfo& t) {
  static const std::set<std::string_view> kMeta = {"ListMeta",
                                                   "ShardInfo",
                                                   "ObjectMeta",
                                                   "OwnerReference",
                                                   "DeleteOptions",
                                                   "Preconditions",
                                                   "Status",
                                                   "StatusDetails",
                                                   "StatusCause",
                                                   "APIVersions",
                                                   "APIGroupList",
                                                   "APIGroup",
                                                   "ServerAddressByClientCIDR",
                                                   "GroupVersionForDiscovery",
                                                   "APIResource",
                                                   "APIResourceList",
                                                   "LabelSelector",
                                                   "LabelSelectorRequirement",
                                                   "FieldSelectorRequirement",
                                                   "ManagedFieldsEntry",
                                                   "Condition",
                                                   "GroupVersionKind",
                                                   "GroupVersionResource",
                                                   "GroupResource"};
  auto gv = api::splitApiVersion(t.apiVersion);
  if (t.apiVersion == "v1" && kMeta.count(t.name) != 0) {
    return fmt::format("io.k8s.apimachinery.pkg.apis.meta.v1.{}", t.name);
  }
  if (gv.group == "apiextensions.k8s.io") {
    return fmt::format("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{}.{}", gv.version, t.name);
  }
  if (gv.group == "apiregistration.k8s.io") {
    return fmt::format("io.k8s.kube-aggregator.pkg.apis.apiregistration.{}.{}", gv.version, t.name);
  }
  std::string_view package = gv.group.empty()                          ? "core"
                             : gv.group == "internal.apiserver.k8s.io" ? "apiserverinternal"
                                                                       : split(gv.group, '.')[0];
  return fmt::format("io.k8s.api.{}.{}.{}", package, gv.version, t.name);
}

const std::vector<ApiDocument>& apiDocuments() {
  static const std::vector<ApiDocument> kDocuments = [] {
    std::map<std::string, ApiDocument> documents;
    Builder builder(documents);
    std::set<std::string> groups, versions;
    for (const Resource& r : api::builtinResources()) {
      if (r.type == nullptr) continue;
      builder.add(r);
      std::string word = groupWord(r.group), id = title(word);
      std::string root = r.group.empty() ? "api" : "apis/" + std::string(r.group);
      std::string tag = word + "_" + std::string(r.version);
      if (!r.group.empty() && groups.insert(root).second) {
        addDiscovery(documents, root, "get" + id + "APIGroup", word, &api::meta_v1::APIGroup::kType,
                     Produces::kObject);
      }
      std::string version = root + "/" + std::string(r.version);
      if (versions.insert(version).second) {
        addDiscovery(documents, version, "get" + id + title(r.version) + "APIResources", tag,
                     &api::meta_v1::APIResourceList::kType, Produces::kObject);
      }
    }
    addDiscovery(documents, "api", "getCoreAPIVersions", "core", &api::meta_v1::APIVersions::kType,
                 Produces::kObject);
    addDiscovery(documents, "apis", "getAPIVersions", "apis", &api::meta_v1::APIGroupList::kType,
                 Produces::kObject);
    addDiscovery(documents, ".well-known/openid-configuration", "getServiceAccountIssuerOpenIDConfiguration",
                 "WellKnown", nullptr, Produces::kJson);
    addDiscovery(documents, "openid/v1/jwks", "getServiceAccountIssuerOpenIDKeyset", "openid", nullptr,
                 Produces::kKeySet);
    addDiscovery(documents, "version", "getCodeVersion", "version", nullptr, Produces::kJson,
                 "io.k8s.apimachinery.pkg.version.Info");
    std::vector<ApiDocument> out;
    for (auto& [_, d] : documents) out.push_back(std::move(d));
    return out;
  }();
  return kDocuments;
}

}  // namespace km::object
