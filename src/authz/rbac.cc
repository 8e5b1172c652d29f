#include "authz/rbac.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "api/types/rbac_v1.h"

namespace km::authz {
namespace {

using api::rbac_v1::PolicyRule;
using Rules = codec::List<PolicyRule>;

bool has(const codec::List<codec::String>& list, std::string_view s) {
  for (const auto& e : list) {
    if (e == s || e == "*") return true;
  }
  return false;
}

bool exact(const codec::List<codec::String>& list, std::string_view s) {
  for (const auto& e : list) {
    if (e == s) return true;
  }
  return false;
}

bool resourceMatches(const PolicyRule& rule, std::string_view resource, std::string_view subresource) {
  for (const auto& r : rule.resources) {
    std::string_view v = r;
    if (v == "*") return true;
    if (subresource.empty()) {
      if (v == resource) return true;
      continue;
    }
    // "pods/log", or "*/log" for that subresource of everything.
    size_t slash = v.find('/');
    if (slash == std::string_view::npos) continue;
    std::string_view left = v.substr(0, slash);
    if (v.substr(slash + 1) == subresource && (left == resource || left == "*")) return true;
  }
  return false;
}

bool urlMatches(const PolicyRule& rule, std::string_view path) {
  for (const auto& u : rule.nonResourceURLs) {
    std::string_view v = u;
    if (v == "*" || v == path) return true;
    if (!v.empty() && v.back() == '*') {
      v.remove_suffix(1);
      if (path.starts_with(v)) return true;
    }
  }
  return false;
}

bool allows(const PolicyRule& rule, const Attributes& a) {
  if (!has(rule.verbs, a.verb)) return false;
  if (!a.isResource) return urlMatches(rule, a.path);
  return has(rule.apiGroups, a.group) && resourceMatches(rule, a.resource, a.subresource) &&
         (rule.resourceNames.empty() || exact(rule.resourceNames, a.name));
}

}  // namespace

namespace {

template <typename RoleRef>
std::string missingRole(const RoleRef& ref) {
  return fmt::format("{}.rbac.authorization.k8s.io \"{}\" not found",
                     ref.kind == "ClusterRole" ? "clusterrole" : "role", ref.name);
}

}  // namespace

// Grants of a subject: rules in one namespace, or everywhere.
struct Rbac::Index {
  struct Grant {
    std::string ns;      // "" everywhere
    const Rules* rules;  // null: the role is not there
    std::string why;     // or what is missing
  };
  RbacObjects objects;  // what the pointers point into
  std::unordered_map<std::string, std::vector<Grant>> bySubject;

  template <typename F>
  bool visit(const authn::UserInfo& user, std::string_view ns, F f) const {
    auto look = [&](const std::string& subject) {
      auto it = bySubject.find(subject);
      if (it == bySubject.end()) return false;
      for (const Grant& g : it->second) {
        if (!g.ns.empty() && g.ns != ns) continue;
        if (f(g)) return true;
      }
      return false;
    };
    if (look("u:" + user.name)) return true;
    for (const std::string& g : user.groups) {
      if (look("g:" + g)) return true;
    }
    return false;
  }
};

Rbac::Rbac(std::function<RbacObjects()> source) : source_(std::move(source)) {}
Rbac::~Rbac() = default;

std::shared_ptr<const Rbac::Index> Rbac::index() const {
  RbacObjects now = source_();
  std::lock_guard lock(mutex_);
  if (index_ && index_->objects.roles == now.roles && index_->objects.roleBindings == now.roleBindings &&
      index_->objects.clusterRoles == now.clusterRoles &&
      index_->objects.clusterRoleBindings == now.clusterRoleBindings) {
    return index_;
  }
  auto fresh = std::make_shared<Index>();
  fresh->objects = now;
  std::unordered_map<std::string, const Rules*> clusterRoles, roles;
  for (const auto& o : *now.clusterRoles)
    clusterRoles[std::string(o->name())] = &o->as<api::rbac_v1::ClusterRole>().rules;
  for (const auto& o : *now.roles) roles[o->key()] = &o->as<api::rbac_v1::Role>().rules;
  auto add = [&](const auto& subjects, std::string_view ns, const Rules* rules, const std::string& why) {
    for (const auto& s : subjects) {
      std::string subject;
      if (s.kind == "User") {
        subject = "u:" + s.name.str();
      } else if (s.kind == "Group") {
        subject = "g:" + s.name.str();
      } else if (s.kind == "ServiceAccount") {
        std::string saNs = s.namespace_.empty() ? std::string(ns) : s.namespace_.str();
        subject = fmt::format("u:{}{}:{}", authn::kServiceAccountPrefix, saNs, s.name);
      } else {
        continue;
      }
      bool account = s.kind == "ServiceAccount";
      std::string to = account ? fmt::format("{}/{}", s.name, s.namespace_.empty() ? ns : s.namespace_.view())
                               : s.name.str();
      fresh->bySubject[subject].push_back(
          {std::string(ns), rules, rules == nullptr ? why : fmt::format("{} to {} \"{}\"", why, s.kind, to)});
    }
  };
  auto findIn = [](const auto& map, const std::string& key) -> const Rules* {
    auto it = map.find(key);
    return it == map.end() ? nullptr : it->second;
  };
  for (const auto& o : *now.clusterRoleBindings) {
    const auto& b = o->as<api::rbac_v1::ClusterRoleBinding>();
    add(b.subjects, "", findIn(clusterRoles, b.roleRef.name.str()),
        findIn(clusterRoles, b.roleRef.name.str()) == nullptr
            ? missingRole(b.roleRef)
            : fmt::format("RBAC: allowed by ClusterRoleBinding \"{}\" of {} \"{}\"", o->name(),
                          b.roleRef.kind, b.roleRef.name));
  }
  for (const auto& o : *now.roleBindings) {
    const auto& b = o->as<api::rbac_v1::RoleBinding>();
    const Rules* rules = b.roleRef.kind == "ClusterRole"
                             ? findIn(clusterRoles, b.roleRef.name.str())
                             : findIn(roles, fmt::format("{}/{}", o->ns(), b.roleRef.name));
    add(b.subjects, o->ns(), rules,
        rules == nullptr ? missingRole(b.roleRef)
                         : fmt::format("RBAC: allowed by RoleBinding \"{}/{}\" of {} \"{}\"", o->name(),
                                       o->ns(), b.roleRef.kind, b.roleRef.name));
  }
  index_ = fresh;
  return fresh;
}

namespace {

// Adds what is not there yet.
void note(std::string& list, const std::string& what) {
  if (list.find(what) != std::string::npos) return;
  list += (list.empty() ? "" : ", ") + what;
}

}  // namespace

Answer Rbac::authorize(const Attributes& a) const {
  Answer answer;
  auto i = index();
  std::string missing;
  i->visit(*a.user, a.ns, [&](const Index::Grant& g) {
    if (g.rules == nullptr) {
      note(missing, g.why);
      return false;
    }
    for (const PolicyRule& rule : *g.rules) {
      if (!allows(rule, a)) continue;
      answer.decision = Decision::kAllow;
      answer.reason = g.why;
      return true;
    }
    return false;
  });
  if (answer.decision != Decision::kAllow && !missing.empty()) {
    bool several = missing.find(", ") != std::string::npos;
    answer.reason = several ? fmt::format("RBAC: [{}]", missing) : "RBAC: " + missing;
  }
  return answer;
}

namespace {

std::string quotedList(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const std::string& v : values) out += fmt::format("{}\"{}\"", out.size() == 1 ? "" : " ", v);
  return out + "]";
}

// A single permission on resources; those that differ by the verb only are told together.
struct Permission {
  std::string group, resource, name;
  bool named = false;
  auto operator<=>(const Permission&) const = default;
};

// The permissions that are missing, as upstream prints them: sorted, one a line.
class Missing {
 public:
  void url(std::string_view url, std::string_view verb) {
    lines_.insert(fmt::format("{{NonResourceURLs:[\"{}\"], Verbs:[\"{}\"]}}", url, verb));
  }
  void resource(Permission p, std::string_view verb) {
    auto& verbs = resources_[std::move(p)];
    if (std::find(verbs.begin(), verbs.end(), verb) == verbs.end()) verbs.emplace_back(verb);
  }
  std::string str() {
    for (const auto& [p, verbs] : resources_) {
      std::string names = p.named ? fmt::format("ResourceNames:[\"{}\"], ", p.name) : "";
      lines_.insert(fmt::format("{{APIGroups:[\"{}\"], Resources:[\"{}\"], {}Verbs:{}}}", p.group, p.resource,
                                names, quotedList(verbs)));
    }
    std::string out;
    for (const std::string& line : lines_) out += "\n" + line;
    return out;
  }

 private:
  std::set<std::string> lines_;
  std::map<Permission, std::vector<std::string>> resources_;
};

}  // namespace

std::string Rbac::missingRules(const authn::UserInfo& user, std::string_view ns, const Rules& rules) const {
  auto i = index();
  // Each rule, taken apart into single permissions, must be covered by some rule that the user holds.
  auto covered = [&](const Attributes& a) {
    return i->visit(user, ns, [&](const Index::Grant& g) {
      if (g.rules == nullptr) return false;
      return std::any_of(g.rules->begin(), g.rules->end(), [&](const PolicyRule& have) {
        return (a.verb != "*" || exact(have.verbs, "*")) && allows(have, a);
      });
    });
  };
  Missing missing;
  for (const PolicyRule& rule : rules) {
    for (const auto& verb : rule.verbs) {
      for (const auto& url : rule.nonResourceURLs) {
        if (!covered({.user = &user, .verb = verb, .path = url})) missing.url(url, verb);
      }
      for (const auto& group : rule.apiGroups) {
        for (const auto& resource : rule.resources) {
          std::string_view r = resource;
          size_t slash = r.find('/');
          Attributes a{.user = &user,
                       .verb = verb,
                       .isResource = true,
                       .group = group,
                       .resource = r.substr(0, slash),
                       .ns = ns};
          if (slash != std::string_view::npos) a.subresource = r.substr(slash + 1);
          Permission p{group.str(), resource.str(), "", false};
          if (rule.resourceNames.empty() && !covered(a)) missing.resource(p, verb);
          for (const auto& name : rule.resourceNames) {
            a.name = name;
            p.name = name.str();
            p.named = true;
            if (!covered(a)) missing.resource(p, verb);
          }
        }
      }
    }
  }
  return missing.str();
}

std::vector<const PolicyRule*> Rbac::rulesFor(const authn::UserInfo& user, std::string_view ns,
                                              ObjectList& keep, std::string* error) const {
  auto i = index();
  keep = i->objects.clusterRoles;
  std::vector<const PolicyRule*> out;
  std::string missing;
  i->visit(user, ns, [&](const Index::Grant& g) {
    if (g.rules == nullptr) {
      note(missing, g.why);
    } else {
      for (const PolicyRule& rule : *g.rules) out.push_back(&rule);
    }
    return false;
  });
  if (error != nullptr) *error = missing;
  return out;
}

}  // namespace km::authz
