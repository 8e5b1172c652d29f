#include "apiserver/bootstrap_policy.h"

#include "api/types/meta_v1.h"
#include "api/types/rbac_v1.h"
#include "base/log.h"
#include "base/strings.h"

namespace km::apiserver {
namespace {

using namespace api::rbac_v1;

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    size_t end = line.find(' ');
    out.push_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end);
  }
  return out;
}

void addAll(codec::List<codec::String>& list, std::string_view commaSeparated) {
  for (;;) {
    size_t comma = commaSeparated.find(',');
    std::string_view one = commaSeparated.substr(0, comma);
    list.push_back(one == "core" ? std::string_view() : one);
    if (comma == std::string_view::npos) return;
    commaSeparated.remove_prefix(comma + 1);
  }
}

PolicyRule rule(const std::vector<std::string_view>& w) {
  PolicyRule r;
  addAll(r.verbs, w[0]);
  if (w[1] == "at") {
    addAll(r.nonResourceURLs, w[2]);
    return r;
  }
  KM_CHECK(w[1] == "on" && w.size() >= 5 && w[3] == ":");
  addAll(r.apiGroups, w[2]);
  addAll(r.resources, w[4]);
  if (w.size() > 6) addAll(r.resourceNames, w[6]);
  return r;
}

Subject subject(const std::vector<std::string_view>& w) {
  Subject s;
  if (w[0] == "account") {
    size_t slash = w[1].find('/');
    s.kind = "ServiceAccount";
    s.namespace_ = w[1].substr(0, slash);
    s.name = w[1].substr(slash + 1);
    return s;
  }
  s.kind = w[0] == "user" ? "User" : "Group";
  s.apiGroup = "rbac.authorization.k8s.io";
  s.name = w[1];
  return s;
}

RoleRef roleRef(std::string_view kind, std::string_view name) {
  RoleRef r;
  r.apiGroup = "rbac.authorization.k8s.io";
  r.kind = kind;
  r.name = name;
  return r;
}

// The head line of a block.
api::MutableObject begin(const std::vector<std::string_view>& w) {
  api::MutableObject o;
  if (w[0] == "clusterrole") {
    o = api::Object::make(ClusterRole::kType);
    o->meta().name = w[1];
  } else if (w[0] == "role") {
    o = api::Object::make(Role::kType);
    o->meta().namespace_ = w[1];
    o->meta().name = w[2];
  } else if (w[0] == "clusterbinding") {
    o = api::Object::make(ClusterRoleBinding::kType);
    o->meta().name = w[1];
    o->as<ClusterRoleBinding>().roleRef = roleRef("ClusterRole", w[2]);
  } else {
    KM_CHECK(w[0] == "binding" && w.size() == 5);
    o = api::Object::make(RoleBinding::kType);
    o->meta().namespace_ = w[1];
    o->meta().name = w[2];
    o->as<RoleBinding>().roleRef = roleRef(w[3], w[4]);
  }
  o->meta().labels["kubernetes.io/bootstrapping"] = "rbac-defaults";
  o->meta().annotations["rbac.authorization.kubernetes.io/autoupdate"] = "true";
  return o;
}

void addLine(api::Object& o, const std::vector<std::string_view>& w) {
  if (w[0] == "label" || w[0] == "aggregate") {
    size_t eq = w[1].find('=');
    std::string_view key = w[1].substr(0, eq), value = w[1].substr(eq + 1);
    if (w[0] == "label") {
      o.meta().labels[key] = value;
    } else {
      o.as<ClusterRole>().aggregationRule.ensure().clusterRoleSelectors.add().matchLabels[key] = value;
    }
  } else if (o.is(ClusterRole::kType)) {
    o.as<ClusterRole>().rules.push_back(rule(w));
  } else if (o.is(Role::kType)) {
    o.as<Role>().rules.push_back(rule(w));
  } else if (o.is(ClusterRoleBinding::kType)) {
    o.as<ClusterRoleBinding>().subjects.push_back(subject(w));
  } else {
    o.as<RoleBinding>().subjects.push_back(subject(w));
  }
}

}  // namespace

std::vector<api::MutableObject> readRbacPolicy(std::string_view text) {
  std::vector<api::MutableObject> out;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == ' ') {
      addLine(*out.back(), words(line));
    } else {
      out.push_back(begin(words(line)));
    }
  }
  return out;
}

}  // namespace km::apiserver
