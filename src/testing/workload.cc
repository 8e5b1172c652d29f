#include "testing/workload.h"

#include <fmt/format.h>

#include "testing/trace.h"

namespace km::testing {

using namespace api::apps_v1;
using namespace api::core_v1;
using client::target;

namespace {

std::string pick(std::initializer_list<const char*> of) { return of.begin()[draw(of.size())]; }
std::string anyNamespace() { return pick({"n0", "n0", "n1", "n2"}); }
std::string anyApp() { return pick({"a", "b", "c"}); }
std::string anyImage() { return oneIn(10) ? "reg.test/bad:1" : fmt::format("reg.test/app:{}", draw(4)); }

void fillTemplate(PodTemplateSpec& t, const std::string& app) {
  t.metadata.labels["app"] = app;
  auto& c = t.spec.containers.add();
  c.name = "c";
  c.image = anyImage();
  if (auto q = codec::Quantity::parse(fmt::format("{}m", 50 + 50 * draw(8))); q.ok()) c.resources.requests["cpu"] = *q;
  t.spec.automountServiceAccountToken = oneIn(8);
  t.spec.terminationGracePeriodSeconds = static_cast<int64_t>(draw(3));
}

codec::IntOrString anyBound(bool orNone) {
  if (oneIn(3)) return codec::IntOrString(fmt::format("{}%", 25 * (1 + draw(2))));
  return codec::IntOrString(static_cast<int32_t>(draw(3) + (orNone ? 0 : 1)));
}

bool mayHaveHappened(const Status& s) { return !s.ok() && (s.code() >= 500 || s.code() == 0); }

}  // namespace

void Workload::run(int users, Duration time, Duration pause) {
  Duration until = playedTime() + time;
  working_ = users;
  for (int i = 0; i < users; i++) {
    spawn(currentGroup(), "user", [this, until, pause] {
      while (playedTime() < until) {
        sleepFor(drawDuration(pause));
        step();
      }
      working_--;
      wakeUp(this);
    });
  }
  awaitThat(this, [this] { return working_ == 0; });
}

void Workload::acknowledge(const Result<api::ObjectPtr>& r) {
  if (!r.ok()) {
    KM_TRACE("user: refused: {}", r.status().message());
    return;
  }
  acknowledged_++;
  const auto& meta = (*r)->meta();
  bool followed = false;
  for (const auto* kind : cluster_.observer.kinds()) followed |= (*r)->is(*kind);
  if (followed && !cluster_.observer.knows(meta.uid.view(), (*r)->resourceVersion())) {
    cluster_.observer.violated(fmt::format("{} {} was acknowledged at revision {}, which the store does not have", (*r)->kind(), (*r)->key(), (*r)->resourceVersion()));
  }
}

void Workload::step() {
  std::string ns = anyNamespace(), app = anyApp();
  switch (draw(24)) {
    case 0:
    case 1:
      return putNamespace(ns);
    case 2:
      return oneIn(4) ? deleteNamespace(ns == "n0" ? "n1" : ns) : void();
    case 3:
    case 4:
    case 5:
      return createDeployment(ns);
    case 6:
    case 7:
    case 8:
      return change(Deployment::kType, ns, app, fmt::format(R"({{"spec":{{"template":{{"spec":{{"containers":[{{"name":"c","image":"{}"}}]}}}}}}}})", anyImage()));
    case 9:
    case 10:
      return change(Deployment::kType, ns, app, fmt::format(R"({{"spec":{{"replicas":{}}}}})", draw(6)));
    case 11:
      return change(Deployment::kType, ns, app, oneIn(3) ? R"({"spec":{"paused":true}})" : R"({"spec":{"paused":false}})");
    case 12:
      return oneIn(2) ? remove(Deployment::kType, ns, app, {.propagationPolicy = pick({"Background", "Background", "Foreground", "Orphan"})}) : void();
    case 13:
      return createReplicaSet(ns);
    case 14:
      return change(ReplicaSet::kType, ns, "set", fmt::format(R"({{"spec":{{"replicas":{}}}}})", draw(4)));
    case 15:
      return oneIn(3) ? remove(ReplicaSet::kType, ns, "set", {.propagationPolicy = pick({"Background", "Foreground", "Orphan"})}) : void();
    case 16:
      return createService(ns);
    case 17:
      return remove(Service::kType, ns, app, {});
    case 18:
      return putQuota(ns);
    case 19:
      return killPod(ns);
    case 20:
      return oneIn(3) ? letPodGo(ns) : cordon();
    case 21:
      return rewrite(ns, app, static_cast<int>(draw(6)));
    default:
      return count();
  }
}

void Workload::putNamespace(const std::string& name) {
  KM_TRACE("user: create namespace {}", name);
  Namespace n;
  n.metadata.name = name;
  acknowledge(api().create(target(Namespace::kType), api::Object::of(std::move(n))));
}

void Workload::deleteNamespace(const std::string& name) {
  invariants_.disturbed(name);
  remove(Namespace::kType, "", name, {});
}

void Workload::createDeployment(const std::string& ns) {
  std::string app = anyApp();
  KM_TRACE("user: create deployment {}/{}", ns, app);
  Deployment d;
  d.metadata.name = app;
  d.metadata.namespace_ = ns;
  d.spec.replicas = static_cast<int32_t>(draw(6));
  d.spec.selector.ensure().matchLabels["app"] = app;
  d.spec.minReadySeconds = oneIn(2) ? 0 : static_cast<int32_t>(draw(6));
  if (oneIn(2)) d.spec.revisionHistoryLimit = static_cast<int32_t>(draw(3));
  if (oneIn(6)) {
    d.spec.strategy.type = "Recreate";
  } else if (oneIn(2)) {
    d.spec.strategy.type = "RollingUpdate";
    bool noSurge = oneIn(3);
    auto& r = d.spec.strategy.rollingUpdate.ensure();
    r.maxSurge = noSurge ? codec::IntOrString(0) : anyBound(false);
    r.maxUnavailable = anyBound(!noSurge);
  }
  fillTemplate(d.spec.template_, app);
  acknowledge(api().create(target(Deployment::kType, ns), api::Object::of(std::move(d))));
}

void Workload::createReplicaSet(const std::string& ns) {
  KM_TRACE("user: create replica set {}/set", ns);
  ReplicaSet r;
  r.metadata.name = "set";
  r.metadata.namespace_ = ns;
  r.spec.replicas = static_cast<int32_t>(draw(4));
  r.spec.selector.ensure().matchLabels["app"] = "set";
  fillTemplate(r.spec.template_, "set");
  acknowledge(api().create(target(ReplicaSet::kType, ns), api::Object::of(std::move(r))));
}

void Workload::createService(const std::string& ns) {
  std::string app = anyApp();
  KM_TRACE("user: create service {}/{}", ns, app);
  Service s;
  s.metadata.name = app;
  s.metadata.namespace_ = ns;
  s.spec.selector["app"] = app;
  auto& p = s.spec.ports.add();
  p.port = 80;
  p.targetPort = codec::IntOrString(8080);
  if (oneIn(3)) s.spec.type = "NodePort";
  acknowledge(api().create(target(Service::kType, ns), api::Object::of(std::move(s))));
}

void Workload::putQuota(const std::string& ns) {
  if (oneIn(3)) return remove(ResourceQuota::kType, ns, "quota", {});
  KM_TRACE("user: put quota {}", ns);
  auto amount = [](uint64_t n) { return *codec::Quantity::parse(std::to_string(n)); };
  ResourceQuota q;
  q.metadata.name = "quota";
  q.metadata.namespace_ = ns;
  q.spec.hard["pods"] = amount(4 + draw(12));
  q.spec.hard["services"] = amount(1 + draw(3));
  q.spec.hard["count/replicasets.apps"] = amount(20);
  std::string pods = q.spec.hard.find("pods")->str();
  auto made = api().create(target(ResourceQuota::kType, ns), api::Object::of(std::move(q)));
  acknowledge(made);
  if (!made.ok() && made.status().is("AlreadyExists")) change(ResourceQuota::kType, ns, "quota", fmt::format(R"({{"spec":{{"hard":{{"pods":"{}"}}}}}})", pods));
}

void Workload::change(const codec::TypeInfo& type, const std::string& ns, const std::string& name, std::string body) {
  KM_TRACE("user: patch {} {}/{} {}", type.name, ns, name, body);
  acknowledge(api().patch(target(type, ns, name), client::PatchType::kStrategicMerge, std::move(body)));
}

void Workload::remove(const codec::TypeInfo& type, const std::string& ns, const std::string& name, client::DeleteOptions options) {
  KM_TRACE("user: delete {} {}/{} {}", type.name, ns, name, options.propagationPolicy);
  if (Status s = api().remove(target(type, ns, name), options); !s.ok()) KM_TRACE("user: refused: {}", s.message());
}

// As kubectl replace does: what was read, changed; a conflict if another was faster.
void Workload::rewrite(const std::string& ns, const std::string& name, int replicas) {
  auto have = api().get(target(Deployment::kType, ns, name));
  if (!have.ok()) return;
  KM_TRACE("user: replace deployment {}/{} with {} replicas", ns, name, replicas);
  Deployment d = (*have)->as<Deployment>();
  d.spec.replicas = replicas;
  sleepFor(drawDuration(std::chrono::milliseconds(50)));
  acknowledge(api().update(target(Deployment::kType, ns, name), api::Object::of(std::move(d))));
}

void Workload::killPod(const std::string& ns) {
  auto pods = api().list(target(Pod::kType, ns));
  if (!pods.ok() || pods->items.empty()) return;
  const auto& victim = pods->items[draw(pods->items.size())];
  client::DeleteOptions options;
  invariants_.disturbed(ns);
  if (oneIn(3)) {
    options.gracePeriodSeconds = 0;
    invariants_.forced(victim->meta().uid.view());
  }
  remove(Pod::kType, ns, std::string(victim->name()), options);
}

// A pod that loses its label is no longer its set's.
void Workload::letPodGo(const std::string& ns) {
  auto pods = api().list(target(Pod::kType, ns));
  if (!pods.ok() || pods->items.empty()) return;
  invariants_.disturbed(ns);
  change(Pod::kType, ns, std::string(pods->items[draw(pods->items.size())]->name()), R"({"metadata":{"labels":{"app":null}}})");
}

void Workload::cordon() {
  const auto& node = cluster_.nodes[draw(cluster_.nodes.size())];
  change(Node::kType, "", node->nodeName(), oneIn(2) ? R"({"spec":{"unschedulable":true}})" : R"({"spec":{"unschedulable":null}})");
}

void Workload::count() {
  auto have = api().get(target(ConfigMap::kType, "default", "counter"));
  if (!have.ok()) {
    if (have.status().code() != 404) return;
    ConfigMap c;
    c.metadata.name = "counter";
    c.metadata.namespace_ = "default";
    c.data["n"] = "0";
    return acknowledge(api().create(target(ConfigMap::kType, "default"), api::Object::of(std::move(c))));
  }
  ConfigMap c = (*have)->as<ConfigMap>();
  c.data["n"] = std::to_string(std::atoll(c.data.find("n")->str().c_str()) + 1);
  auto r = api().update(target(ConfigMap::kType, "default", "counter"), api::Object::of(std::move(c)));
  acknowledge(r);
  if (r.ok()) counted_++;
  if (!r.ok() && mayHaveHappened(r.status())) perhapsCounted_++;
}

void Workload::settle() {
  auto each = [&](const codec::TypeInfo& type, const std::function<std::string(const api::Object&)>& body) {
    for (const auto& [key, o] : std::map(cluster_.observer.allOf(type))) {
      std::string b = body(*o);
      for (int i = 0; i < 20 && !b.empty(); i++) {
        auto r = api().patch(target(type, o->ns(), o->name()), client::PatchType::kStrategicMerge, b);
        if (r.ok() || r.status().code() == 404) break;
        sleepFor(std::chrono::milliseconds(200));
      }
    }
  };
  each(ResourceQuota::kType, [](const api::Object&) { return R"({"spec":{"hard":{"pods":"100"}}})"; });
  each(Node::kType, [](const api::Object&) { return R"({"spec":{"unschedulable":null}})"; });
  auto body = [](const char* paused, const PodTemplateSpec& t, int replicas) {
    std::string image = t.spec.containers[0].image.str();
    if (image.find("bad") != std::string::npos) image = "reg.test/app:9";
    return fmt::format(R"({{"spec":{{{}"replicas":{},"template":{{"spec":{{"containers":[{{"name":"c","image":"{}","resources":{{"requests":{{"cpu":"50m"}}}}}}]}}}}}}}})", paused, std::min(replicas, 2), image);
  };
  each(Deployment::kType, [&](const api::Object& o) {
    const auto& spec = o.as<Deployment>().spec;
    return body("\"paused\":false,", spec.template_, spec.replicas.value_or(1));
  });
  each(ReplicaSet::kType, [&](const api::Object& o) {
    const auto& set = o.as<ReplicaSet>();
    return controllerOf(set.metadata) == nullptr ? body("", set.spec.template_, set.spec.replicas.value_or(1)) : std::string();
  });
  clearPods();
}

void Workload::clearPods() {
  for (const auto& [key, o] : std::map(cluster_.observer.all<Pod>())) {
    const Pod& p = o->as<Pod>();
    bool bad = p.spec.containers[0].image.str().find("bad") != std::string::npos;
    if (!bad && controllerOf(p.metadata) != nullptr) continue;
    invariants_.disturbed(o->ns());
    for (int i = 0; i < 20; i++) {
      Status s = api().remove(target(Pod::kType, o->ns(), o->name()), {.uid = p.metadata.uid.str()});
      if (s.ok() || s.code() == 404 || s.code() == 409) break;
      sleepFor(std::chrono::milliseconds(200));
    }
  }
}

void Workload::check() {
  auto c = cluster_.observer.find<ConfigMap>("default", "counter");
  int64_t n = c ? std::atoll(c->data.find("n")->str().c_str()) : 0;
  if (n < counted_ || n > counted_ + perhapsCounted_) {
    cluster_.observer.violated(fmt::format("the counter says {}; {} increments were acknowledged and {} unanswered", n, counted_, perhapsCounted_));
  }
}

}  // namespace km::testing
