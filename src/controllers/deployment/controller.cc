#include "controllers/deployment/controller.h"

#include "api/selector.h"
#include "codec/ops.h"
#include "controllers/deployment/rollout.h"
#include "controllers/pod_control.h"
#include "controllers/ref_manager.h"

namespace km::controllers::deployment {
namespace {

using DeploymentPtr = std::shared_ptr<const Deployment>;

class DeploymentController : public Controller {
 public:
  explicit DeploymentController(Context& context)
      : context_(context),
        deployments_(context.use<Deployment>()),
        sets_(context.use<ReplicaSet>()),
        pods_(context.use<Pod>()),
        deploymentLister_(deployments_),
        setLister_(sets_),
        podLister_(pods_),
        recorder_(context.events.recorder("deployment-controller")),
        loop_(context, "deployment", context.options.concurrentDeploymentSyncs,
              [this](const std::string& key) { return sync(key); }) {
    addPodControllerIndex(pods_);
    loop_.onKeys(deployments_);
    loop_.on(sets_, {[this](const ObjectPtr& o, bool) { setChanged(o->meta()); },
                     [this](const ObjectPtr& a, const ObjectPtr& b) { setUpdated(a->meta(), b->meta()); },
                     [this](const ObjectPtr& o, bool) { addOwner(o->meta()); }});
    // Only Recreate waits for pods: for the last one of an old set to go.
    loop_.on(pods_, {nullptr, nullptr, [this](const ObjectPtr& o, bool) { podDeleted(o->meta()); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  DeploymentPtr resolve(const ObjectMeta& set, const OwnerReference* ref) const {
    if (ref == nullptr || ref->kind != "Deployment") return nullptr;
    DeploymentPtr d = deploymentLister_.get(set.namespace_, ref->name);
    return d && d->metadata.uid == ref->uid ? d : nullptr;
  }

  void addOwner(const ObjectMeta& set) {
    if (DeploymentPtr d = resolve(set, controllerOf(set))) loop_.add(keyOf(d->metadata));
  }

  void addMatching(const ObjectMeta& set) {
    if (set.labels.empty()) return;
    for (const DeploymentPtr& d : deploymentLister_.list(set.namespace_)) {
      if (!d->spec.selector) continue;
      auto selector = api::LabelSelector::from(*d->spec.selector);
      if (selector.ok() && !selector->empty() && selector->matches(set.labels)) loop_.add(keyOf(d->metadata));
    }
  }

  void setChanged(const ObjectMeta& set) {
    if (set.deletionTimestamp || controllerOf(set) != nullptr) return addOwner(set);
    addMatching(set);
  }

  void setUpdated(const ObjectMeta& before, const ObjectMeta& now) {
    const OwnerReference *old = controllerOf(before), *ref = controllerOf(now);
    bool refChanged = (old ? old->uid.view() : "") != (ref ? ref->uid.view() : "");
    if (refChanged) addOwner(before);
    if (ref != nullptr) return addOwner(now);
    if (refChanged || before.labels != now.labels) addMatching(now);
  }

  void podDeleted(const ObjectMeta& pod) {
    const OwnerReference* ref = controllerOf(pod);
    if (ref == nullptr || ref->kind != "ReplicaSet") return;
    auto rs = setLister_.get(pod.namespace_, ref->name);
    if (!rs || rs->metadata.uid != ref->uid) return;
    DeploymentPtr d = resolve(rs->metadata, controllerOf(rs->metadata));
    if (!d || d->spec.strategy.type != "Recreate") return;
    for (const RsPtr& s : setLister_.list(d->metadata.namespace_)) {
      if (isControlledBy(s->metadata, d->metadata.uid) && !podsOf(podLister_, s->metadata, false).empty()) return;
    }
    loop_.add(keyOf(d->metadata));
  }

  Status sync(const std::string& key) {
    DeploymentPtr stored = deploymentLister_.getKey(key);
    if (!stored) return {};
    Deployment d = *stored;
    if (!d.spec.selector) return {};
    if (codec::isZero(d.spec.selector.get(), api::meta_v1::LabelSelector::kType)) {
      recorder_.event(client::referenceTo(d), client::kEventWarning, "SelectingAll",
                      "This deployment is selecting all pods. A non-empty selector is required.");
      if (d.status.observedGeneration < d.metadata.generation) {
        d.status.observedGeneration = d.metadata.generation;
        return updateStatus(context_.client, std::move(d)).status();
      }
      return {};
    }
    KM_ASSIGN(auto selector, api::LabelSelector::from(*d.spec.selector));
    OwnerReference ref = makeControllerRef(Deployment::kType, d.metadata);
    KM_ASSIGN(auto sets, claim<ReplicaSet>(context_.client, d.metadata, ref, selector, setLister_.list(d.metadata.namespace_),
                                           [&] { return recheckOwner<Deployment>(context_.client, d.metadata); }));
    Rollout rollout(context_.client, recorder_, context_.clock().now(), d, std::move(sets),
                    [this](const ReplicaSet& rs) { return podsOf(podLister_, rs.metadata, false); });
    Status s = rollout.run();
    if (s.ok() && rollout.again()) {
      if (*rollout.again() < std::chrono::seconds(1)) {
        loop_.queue().addRateLimited(key);
      } else {
        loop_.queue().addAfter(key, *rollout.again() + std::chrono::seconds(1));
      }
    }
    // Nothing can be created any more where the namespace goes.
    return hasCause(s, "NamespaceTerminating") ? Status() : s;
  }

  Context& context_;
  client::SharedInformer& deployments_;
  client::SharedInformer& sets_;
  client::SharedInformer& pods_;
  client::Lister<Deployment> deploymentLister_;
  client::Lister<ReplicaSet> setLister_;
  client::Lister<Pod> podLister_;
  client::EventRecorder recorder_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<DeploymentController>(context); }

}  // namespace km::controllers::deployment
