#include "controllers/nodelifecycle/controller.h"

#include <map>
#include <mutex>

#include "base/log.h"
#include "controllers/nodelifecycle/core.h"
#include "controllers/objects.h"

namespace km::controllers::nodelifecycle {
namespace {

using api::coordination_v1::Lease;

constexpr std::string_view kLeaseNs = "kube-node-lease";
constexpr std::string_view kByNode = "podNode";

// One key a node. A healthy node costs a timer at its deadline, which a heartbeat only moves in memory.
class NodeLifecycle : public Controller {
 public:
  explicit NodeLifecycle(Context& context)
      : context_(context),
        nodes_(context.use<Node>()),
        pods_(context.use<Pod>()),
        leases_(context.informers.informer(leaseInformer())),
        recorder_(context.events.recorder("node-controller")),
        loop_(context, "node_lifecycle_controller", 8, [this](const std::string& key) { return sync(key); }) {
    context.used.push_back(&leases_);
    pods_.addIndex(kByNode, [](const api::Object& o) {
      const Pod& p = o.as<Pod>();
      return p.spec.nodeName.empty() ? std::vector<std::string>{} : std::vector<std::string>{p.spec.nodeName.str()};
    });
    loop_.on(nodes_, {[this](const ObjectPtr& o, bool) { appeared(o->as<Node>()); },
                      [this](const ObjectPtr& a, const ObjectPtr& b) { changed(a->as<Node>(), b->as<Node>()); },
                      [this](const ObjectPtr& o, bool) { gone(o->as<Node>()); }});
    loop_.on(leases_, {[this](const ObjectPtr& o, bool) { beat(o->name()); },
                       [this](const ObjectPtr&, const ObjectPtr& o) { beat(o->name()); }, nullptr});
    // A pod that comes to a node that is not ready.
    loop_.on(pods_, {nullptr,
                     [this](const ObjectPtr& a, const ObjectPtr& b) {
                       const Pod& p = b->as<Pod>();
                       if (!p.spec.nodeName.empty() && isPodReady(p) && !isPodReady(a->as<Pod>())) loop_.add(p.spec.nodeName);
                     },
                     nullptr});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  static client::SharedInformer::What leaseInformer() {
    return {client::target(Lease::kType).resource, std::string(kLeaseNs), "", ""};
  }

  struct Zone {
    int ready = 0, notReady = 0;
    std::optional<client::TokenBucket> bucket;
    double rate = -1;
  };

  struct Known {
    Health health;
    std::string zone;
    bool ready = false;
    bool counted = false;
  };

  void appeared(const Node& n) {
    std::string name = n.metadata.name.str();
    recorder_.event(aboutNode(n), client::kEventNormal, "RegisteredNode",
                    "Node " + name + " event: Registered Node " + name + " in Controller");
    loop_.add(name);
  }

  // Heartbeats alone are noted without work.
  void changed(const Node& before, const Node& now) {
    bool news = readyStatus(before) != readyStatus(now) || conditionTaints(before).size() != conditionTaints(now).size() ||
                !(before.spec.taints == now.spec.taints) || before.spec.unschedulable != now.spec.unschedulable ||
                !(before.metadata.labels == now.metadata.labels);
    if (!news) {
      for (const auto& c : now.status.conditions) {
        const NodeCondition* old = findCondition(before, c.type);
        news |= old == nullptr || old->status != c.status;
      }
    }
    beat(now.metadata.name);
    if (news) loop_.add(now.metadata.name);
  }

  void beat(std::string_view name) {
    auto node = client::Lister<Node>(nodes_).get("", name);
    if (!node) return;
    auto lease = client::Lister<Lease>(leases_).get(kLeaseNs, name);
    std::lock_guard lock(mutex_);
    auto it = known_.find(name);
    if (it != known_.end()) observe(it->second.health, *node, lease.get(), context_.clock().monotonic());
  }

  void gone(const Node& n) {
    std::string name = n.metadata.name.str();
    {
      std::lock_guard lock(mutex_);
      auto it = known_.find(name);
      if (it != known_.end()) {
        count(it->second, -1);
        known_.erase(it);
      }
    }
    recorder_.event(aboutNode(n), client::kEventNormal, "RemovingNode",
                    "Node " + name + " event: Removing Node " + name + " from Controller");
  }

  // Events about nodes name them by uid and have no version.
  static api::core_v1::ObjectReference aboutNode(const Node& n) {
    auto r = client::referenceTo(n);
    r.resourceVersion.clear();
    return r;
  }

  void count(Known& k, int by) {
    if (!k.counted && by < 0) return;
    Zone& z = zones_[k.zone];
    (k.ready ? z.ready : z.notReady) += by;
    k.counted = by > 0;
  }

  Status sync(const std::string& name) {
    auto stored = client::Lister<Node>(nodes_).get("", name);
    if (!stored) return {};
    Node node = *stored;
    KM_TRY(checkHealth(name, node));
    KM_TRY(reconcileNode(node));
    return markPods(node);
  }

  // Schedules the next look, and writes Unknown conditions when the time is over.
  Status checkHealth(const std::string& name, Node& node) {
    auto lease = client::Lister<Lease>(leases_).get(kLeaseNs, name);
    Duration now = context_.clock().monotonic(), left;
    bool known;
    {
      std::lock_guard lock(mutex_);
      Known& k = known_[name];
      observe(k.health, node, lease.get(), now);
      Duration grace = k.health.ready ? context_.options.nodeMonitorGracePeriod : context_.options.nodeStartupGracePeriod;
      left = k.health.probe + grace - now;
      known = k.health.ready.has_value();
      recount(k, node);
    }
    // Nothing more to find out about a node that is Unknown already; a sign of life wakes it.
    if (left > Duration(0)) {
      loop_.queue().addAfter(name, left + std::chrono::milliseconds(10));
      return {};
    }
    if (known && readyStatus(node) == "Unknown" && !anyKnown(node)) return {};
    bool wasReady = readyStatus(node) == "True";
    if (!markUnknown(node, context_.clock().now())) return {};
    KM_VINFO(2, "Node gave no sign of life", {{"node", name}});
    KM_ASSIGN(auto written, updateStatus(context_.client, std::move(node)));
    node = *written;
    if (wasReady) tellNotReady(node);
    std::lock_guard lock(mutex_);
    Known& k = known_[name];
    k.health.ready = *findCondition(node, "Ready");
    recount(k, node);
    return {};
  }

  static bool anyKnown(const Node& node) {
    for (std::string_view type : {"MemoryPressure", "DiskPressure", "PIDPressure"}) {
      const NodeCondition* c = findCondition(node, type);
      if (c == nullptr || c->status != "Unknown") return true;
    }
    return false;
  }

  void recount(Known& k, const Node& node) {
    count(k, -1);
    k.zone = zoneOf(node);
    k.ready = readyStatus(node) == "True";
    count(k, 1);
  }

  void tellNotReady(const Node& node) {
    recorder_.event(aboutNode(node), client::kEventNormal, "NodeNotReady",
                    "Node " + node.metadata.name.str() + " status is now: NodeNotReady");
  }

  // Taints and labels, in one write.
  Status reconcileNode(Node& node) {
    WallTime now = context_.clock().now();
    bool changed = replaceTaints(node, conditionTaints(node), "NoSchedule", now);
    std::vector<Taint> evict;
    if (auto t = evictionTaint(node)) {
      bool tainted = false;
      for (const Taint& x : node.spec.taints) tainted |= x.key == t->key && x.effect == t->effect;
      auto wait = tainted ? Duration(0) : evictionDelay(node);
      if (!wait) {
        // The whole cluster is dark: the fault is more likely here; nobody is evicted.
      } else if (*wait > Duration(0)) {
        loop_.queue().addAfter(node.metadata.name, *wait);
        evict = currentEviction(node);
      } else {
        evict.push_back(*t);
      }
    }
    changed |= replaceTaints(node, evict, "NoExecute", now);
    changed |= reconcileLabels(node);
    if (!changed) return {};
    KM_ASSIGN(auto written, updateObject(context_.client, std::move(node)));
    node = *written;
    return {};
  }

  static std::vector<Taint> currentEviction(const Node& node) {
    std::vector<Taint> out;
    for (const Taint& t : node.spec.taints) {
      if (t.effect == "NoExecute" && (t.key == kNotReady || t.key == kUnreachable)) out.push_back(t);
    }
    return out;
  }

  // How long the node's turn to lose its pods is away, by its zone's rate; nullopt: it has none.
  std::optional<Duration> evictionDelay(const Node& node) {
    std::lock_guard lock(mutex_);
    bool anyAlive = false;
    for (auto& [name, z] : zones_) anyAlive |= zoneState(z.ready, z.notReady, 1) != ZoneState::kFullDisruption && z.ready > 0;
    if (!anyAlive) return std::nullopt;
    const Options& o = context_.options;
    Zone& z = zones_[zoneOf(node)];
    double rate = o.nodeEvictionRate;
    if (zoneState(z.ready, z.notReady, o.unhealthyZoneThreshold) == ZoneState::kPartialDisruption) {
      rate = z.ready + z.notReady > o.largeClusterSizeThreshold ? o.secondaryNodeEvictionRate : 0;
    }
    if (rate <= 0) return std::nullopt;
    if (rate != z.rate) {
      z.bucket.emplace(rate, 1);
      z.rate = rate;
    }
    if (z.bucket->tryTake(context_.clock().monotonic())) return Duration(0);
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / rate));
  }

  // Pods of a node that is not ready are not ready.
  Status markPods(const Node& node) {
    if (findCondition(node, "Ready") == nullptr || readyStatus(node) == "True") return {};
    Status failed;
    for (const PodPtr& p : client::Lister<Pod>(pods_).byIndex(kByNode, node.metadata.name)) {
      if (!isPodReady(*p)) continue;
      Pod copy = *p;
      for (auto& c : copy.status.conditions) {
        if (c.type != "Ready") continue;
        c.status = "False";
        c.lastTransitionTime = codec::Time(context_.clock().now());
      }
      Status s = updateStatus(context_.client, std::move(copy)).status();
      if (s.code() == 404) continue;
      if (!s.ok()) {
        failed = s;
        continue;
      }
      recorder_.event(client::referenceTo(*p), client::kEventWarning, "NodeNotReady", "Node is not ready");
    }
    return failed;
  }

  Context& context_;
  client::SharedInformer& nodes_;
  client::SharedInformer& pods_;
  client::SharedInformer& leases_;
  client::EventRecorder recorder_;
  std::mutex mutex_;
  std::map<std::string, Known, std::less<>> known_;
  std::map<std::string, Zone> zones_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<NodeLifecycle>(context); }

}  // namespace km::controllers::nodelifecycle
