#include "controllers/nodelifecycle/taint_eviction.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/log.h"
#include "codec/json.h"

namespace km::controllers::nodelifecycle {
namespace {

using api::core_v1::Node;
using api::core_v1::Taint;
using api::core_v1::Toleration;

constexpr std::string_view kByNode = "podNode";

bool tolerates(const Toleration& t, const Taint& taint) {
  if (!t.effect.empty() && t.effect != taint.effect) return false;
  if (!t.key.empty() && t.key != taint.key) return false;
  if (t.operator_.empty() || t.operator_ == "Equal") return t.value == taint.value;
  return t.operator_ == "Exists";
}

std::vector<Taint> noExecute(const Node& n) {
  std::vector<Taint> out;
  for (const Taint& t : n.spec.taints) {
    if (t.effect == "NoExecute") out.push_back(t);
  }
  return out;
}

}  // namespace

std::optional<Duration> toleratedTime(const Pod& pod, const std::vector<Taint>& taints) {
  std::optional<int64_t> least;
  for (const Taint& taint : taints) {
    const Toleration* used = nullptr;
    for (const Toleration& t : pod.spec.tolerations) {
      if (tolerates(t, taint)) {
        used = &t;
        break;
      }
    }
    if (used == nullptr) return Duration(0);
    if (!used->tolerationSeconds) continue;
    int64_t seconds = std::max<int64_t>(0, *used->tolerationSeconds);
    if (!least || seconds < *least) least = seconds;
  }
  if (!least) return std::nullopt;
  return std::chrono::seconds(*least);
}

namespace {

// One key a pod.
class TaintEviction : public Controller {
 public:
  explicit TaintEviction(Context& context)
      : context_(context),
        pods_(context.use<Pod>()),
        nodes_(context.use<Node>()),
        recorder_(context.events.recorder("taint-eviction-controller")),
        loop_(context, "noexec_taint_pod", 8, [this](const std::string& key) { return sync(key); }) {
    pods_.addIndex(kByNode, [](const api::Object& o) {
      const Pod& p = o.as<Pod>();
      return p.spec.nodeName.empty() ? std::vector<std::string>{} : std::vector<std::string>{p.spec.nodeName.str()};
    });
    loop_.on(pods_, {[this](const ObjectPtr& o, bool) { podChanged(nullptr, o->as<Pod>()); },
                     [this](const ObjectPtr& a, const ObjectPtr& b) { podChanged(&a->as<Pod>(), b->as<Pod>()); },
                     [this](const ObjectPtr& o, bool) { forget(o->key()); }});
    loop_.on(nodes_, {[this](const ObjectPtr& o, bool) {
                        if (!noExecute(o->as<Node>()).empty()) addPods(o->name());
                      },
                      [this](const ObjectPtr& a, const ObjectPtr& b) {
                        if (!(a->as<Node>().spec.taints == b->as<Node>().spec.taints)) addPods(b->name());
                      },
                      nullptr});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  struct Start {
    std::string uid;
    Duration since{0};
  };

  void podChanged(const Pod* before, const Pod& now) {
    if (now.spec.nodeName.empty()) return;
    if (before != nullptr && before->spec.nodeName == now.spec.nodeName &&
        before->spec.tolerations == now.spec.tolerations) {
      return;
    }
    auto node = client::Lister<Node>(nodes_).get("", now.spec.nodeName);
    if (node && !noExecute(*node).empty()) loop_.add(keyOf(now.metadata));
  }

  void addPods(std::string_view node) {
    for (const PodPtr& p : client::Lister<Pod>(pods_).byIndex(kByNode, node)) loop_.add(keyOf(p->metadata));
  }

  // True if it was waiting.
  bool forget(const std::string& key) {
    std::lock_guard lock(mutex_);
    return started_.erase(key) > 0;
  }

  Status sync(const std::string& key) {
    PodPtr pod = client::Lister<Pod>(pods_).getKey(key);
    auto node = pod ? client::Lister<Node>(nodes_).get("", pod->spec.nodeName) : nullptr;
    if (!node || pod->metadata.deletionTimestamp) {
      forget(key);
      return {};
    }
    auto taints = noExecute(*node);
    auto stay = taints.empty() ? std::nullopt : toleratedTime(*pod, taints);
    if (!stay) {
      if (forget(key)) {
        recorder_.event(about(*pod), client::kEventNormal, "TaintManagerEviction", "Cancelling deletion of Pod " + key);
      }
      return {};
    }
    Duration now = context_.clock().monotonic(), left;
    {
      std::lock_guard lock(mutex_);
      Start& s = started_[key];
      if (s.uid != pod->metadata.uid) s = {pod->metadata.uid.str(), now};
      left = s.since + *stay - now;
    }
    if (left > Duration(0)) {
      loop_.queue().addAfter(key, left);
      return {};
    }
    recorder_.event(about(*pod), client::kEventNormal, "TaintManagerEviction", "Marking for deletion Pod " + key);
    Status s = evict(*pod);
    if (s.ok()) forget(key);
    return s;
  }

  static api::core_v1::ObjectReference about(const Pod& pod) { return client::referenceTo(pod); }

  Status evict(const Pod& pod) {
    KM_VINFO(2, "Deleting pod", {{"pod", keyOf(pod.metadata)}});
    api::core_v1::PodCondition c;
    c.type = "DisruptionTarget";
    c.status = "True";
    c.lastTransitionTime = codec::Time(context_.clock().now());
    c.observedGeneration = pod.metadata.generation;
    c.reason = "DeletionByTaintManager";
    c.message = "Taint manager: deleting due to NoExecute taint";
    std::string body = R"({"metadata":{"uid":")" + pod.metadata.uid.str() + R"("},"status":{"conditions":[)";
    codec::encodeJson(body, &c, api::core_v1::PodCondition::kType, "");
    Status s = context_.client
                   .patch(client::target(Pod::kType, pod.metadata.namespace_, pod.metadata.name, "status"),
                          client::PatchType::kStrategicMerge, body + "]}}", writeOptions())
                   .status();
    if (!s.ok()) return s.code() == 404 ? Status() : s;
    s = removeObject<Pod>(context_.client, pod.metadata.namespace_, pod.metadata.name, {.uid = pod.metadata.uid.str()});
    return s.code() == 404 || s.is("Conflict") ? Status() : s;
  }

  Context& context_;
  client::SharedInformer& pods_;
  client::SharedInformer& nodes_;
  client::EventRecorder recorder_;
  std::mutex mutex_;
  std::map<std::string, Start> started_;  // pods that wait for their deletion
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> makeTaintEviction(Context& context) { return std::make_unique<TaintEviction>(context); }

}  // namespace km::controllers::nodelifecycle
