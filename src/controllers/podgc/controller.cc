#include "controllers/podgc/controller.h"

#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "codec/json.h"

namespace km::controllers::podgc {

std::vector<PodPtr> surplus(const std::vector<PodPtr>& pods, int threshold) {
  std::vector<PodPtr> ended;
  for (const PodPtr& p : pods) {
    if (isPodTerminal(*p)) ended.push_back(p);
  }
  auto over = static_cast<std::ptrdiff_t>(ended.size()) - threshold;
  if (threshold <= 0 || over <= 0) return {};
  auto order = [](const PodPtr& p) {
    return std::tuple(!(p->status.phase == "Failed" && p->status.reason == "Evicted"),
                      p->metadata.creationTimestamp.seconds, p->metadata.name.view());
  };
  std::sort(ended.begin(), ended.end(), [&](const PodPtr& a, const PodPtr& b) { return order(a) < order(b); });
  ended.resize(static_cast<size_t>(over));
  return ended;
}

namespace {

using api::core_v1::Node;

constexpr std::string_view kByNode = "podNode";
constexpr Duration kQuarantine = std::chrono::seconds(40);  // a node that is missing may be one that the cache lacks
constexpr std::string_view kThresholdKey = "threshold";

// Keys: "node:NAME" checks the pods of a node that is gone, "pod:NS/NAME" one pod, "threshold" all.
class PodGc : public Controller {
 public:
  explicit PodGc(Context& context)
      : context_(context),
        pods_(context.use<Pod>()),
        nodes_(context.use<Node>()),
        loop_(context, "orphaned_pods_nodes", 1, [this](const std::string& key) { return sync(key); }) {
    pods_.addIndex(kByNode, [](const api::Object& o) {
      const Pod& p = o.as<Pod>();
      return p.spec.nodeName.empty() ? std::vector<std::string>{} : std::vector<std::string>{p.spec.nodeName.str()};
    });
    loop_.on(pods_, {[this](const ObjectPtr& o, bool) { podChanged(nullptr, o->as<Pod>()); },
                     [this](const ObjectPtr& a, const ObjectPtr& b) { podChanged(&a->as<Pod>(), b->as<Pod>()); }, nullptr});
    loop_.on(nodes_, {nullptr,
                      [this](const ObjectPtr&, const ObjectPtr& o) {
                        if (isOutOfService(o->as<Node>())) loop_.add("node:" + std::string(o->name()));
                      },
                      [this](const ObjectPtr& o, bool) { checkNodeLater(o->name()); }});
  }
  void start() override {
    loop_.start();
    loop_.add(kThresholdKey);
  }
  void stop() override { loop_.stop(); }

 private:
  void checkNodeLater(std::string_view name) { loop_.queue().addAfter("node:" + std::string(name), kQuarantine); }

  void podChanged(const Pod* before, const Pod& now) {
    if (!now.spec.nodeName.empty() && !client::Lister<Node>(nodes_).get("", now.spec.nodeName)) {
      checkNodeLater(now.spec.nodeName);
    }
    if (now.metadata.deletionTimestamp && now.spec.nodeName.empty()) loop_.add("pod:" + keyOf(now.metadata));
    if (isPodTerminal(now) && (before == nullptr || !isPodTerminal(*before))) {
      loop_.queue().addAfter(kThresholdKey, std::chrono::seconds(20));
    }
  }

  static bool isReady(const Node& n) {
    for (const auto& c : n.status.conditions) {
      if (c.type == "Ready") return c.status == "True";
    }
    return false;
  }

  static bool isOutOfService(const Node& n) {
    for (const auto& t : n.spec.taints) {
      if (t.key == "node.kubernetes.io/out-of-service") return !isReady(n);
    }
    return false;
  }

  Status sync(const std::string& key) {
    if (key == kThresholdKey) return collectSurplus();
    if (key.starts_with("pod:")) {
      auto pod = client::Lister<Pod>(pods_).getKey(key.substr(4));
      if (!pod || !pod->metadata.deletionTimestamp || !pod->spec.nodeName.empty()) return {};
      return remove(*pod, "", "");
    }
    std::string name = key.substr(5);
    auto node = client::Lister<Node>(nodes_).get("", name);
    auto pods = client::Lister<Pod>(pods_).byIndex(kByNode, name);
    if (pods.empty()) return {};
    if (node) return isOutOfService(*node) ? collectTerminating(pods) : Status();
    auto live = getObject<Node>(context_.client, "", name);
    if (live.ok()) return {};
    if (live.status().code() != 404) return live.status();
    Status failed;
    for (const PodPtr& p : pods) {
      Status s = remove(*p, "DeletionByPodGC", "PodGC: node no longer exists");
      if (!s.ok()) failed = s;
    }
    return failed;
  }

  Status collectTerminating(const std::vector<PodPtr>& pods) {
    Status failed;
    for (const PodPtr& p : pods) {
      if (!p->metadata.deletionTimestamp) continue;
      Status s = remove(*p, "", "");
      if (!s.ok()) failed = s;
    }
    return failed;
  }

  Status collectSurplus() {
    Status failed;
    for (const PodPtr& p : surplus(client::Lister<Pod>(pods_).list(), context_.options.terminatedPodGcThreshold)) {
      Status s = remove(*p, "", "");
      if (!s.ok()) failed = s;
    }
    return failed;
  }

  // Marks the pod as failed, says why if there is a reason, and deletes it without grace.
  Status remove(const Pod& pod, std::string_view reason, std::string_view message) {
    KM_VINFO(2, "PodGC is force deleting Pod", {{"pod", keyOf(pod.metadata)}});
    if (!isPodTerminal(pod)) {
      std::string body = R"({"metadata":{"uid":")" + pod.metadata.uid.str() + R"("},"status":{"phase":"Failed")";
      if (!reason.empty()) {
        api::core_v1::PodCondition c;
        c.type = "DisruptionTarget";
        c.status = "True";
        c.lastTransitionTime = codec::Time(context_.clock().now());
        c.reason = reason;
        c.message = message;
        c.observedGeneration = pod.metadata.generation;
        body += R"(,"conditions":[)";
        codec::encodeJson(body, &c, api::core_v1::PodCondition::kType, "");
        body += ']';
      }
      Status s = context_.client
                     .patch(client::target(Pod::kType, pod.metadata.namespace_, pod.metadata.name, "status"),
                            client::PatchType::kStrategicMerge, body + "}}", writeOptions())
                     .status();
      if (!s.ok()) return s.code() == 404 ? Status() : s;
    }
    Status s = removeObject<Pod>(context_.client, pod.metadata.namespace_, pod.metadata.name,
                                 {.gracePeriodSeconds = 0, .uid = pod.metadata.uid.str()});
    return s.code() == 404 || s.is("Conflict") ? Status() : s;
  }

  Context& context_;
  client::SharedInformer& pods_;
  client::SharedInformer& nodes_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<PodGc>(context); }

}  // namespace km::controllers::podgc
