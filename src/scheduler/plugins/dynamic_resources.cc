// DynamicResources, as far as it is built: pods whose device claims are missing are not tried; claims that
// are allocated decide the node and are reserved for the pod. Allocating devices needs CEL, which is not
// there yet: until a claim is allocated by someone else its pod stays pending, never bound without its
// devices.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "api/types/resource_v1.h"
#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

using api::core_v1::Pod;
using api::resource_v1::ResourceClaim;
using ClaimPtr = std::shared_ptr<const ResourceClaim>;

constexpr Refusal kElsewhere = 1, kNotAllocated = 2;

bool reservedFor(const ResourceClaim& c, const Pod& pod) {
  const auto& list = c.status.reservedFor;
  return std::any_of(list.begin(), list.end(), [&](const auto& r) { return r.uid == pod.metadata.uid; });
}

class DynamicResources : public Plugin {
 public:
  explicit DynamicResources(const Listers& l) : l_(l) {}
  std::string_view name() const override { return "DynamicResources"; }
  uint32_t stages() const override { return kPreEnqueue | kFilter | kReserve | kPreBind; }

  std::string preEnqueue(const Pod& pod) override {
    std::vector<ClaimPtr> claims;
    return collect(pod, claims);
  }

  Prepared prepare(const Cycle& c) override {
    claims_.clear();
    if (c.pod->spec.resourceClaims.empty()) return Prepared::skipped();
    std::string why = collect(*c.pod, claims_);
    if (!why.empty()) return Prepared::refuse(Verdict::kUnschedulableAndUnresolvable, std::move(why));
    return claims_.empty() ? Prepared::skipped() : Prepared();
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    for (size_t i = 0; i < nodes.size(); i++) {
      for (const ClaimPtr& claim : claims_) {
        if (!claim->status.allocation) {
          refusals[i] = kNotAllocated;
          break;
        }
        const auto& selector = claim->status.allocation->nodeSelector;
        if (selector && !matchesSelector(*selector, *c.cluster.nodes().row(nodes[i]).node))
          refusals[i] = kElsewhere;
      }
    }
  }
  void explain(const Cycle&, Refusal r, std::vector<std::string>& reasons) const override {
    reasons.emplace_back(r == kElsewhere ? "resourceclaim not available on the node"
                                         : "cannot allocate all claims");
  }

  bool willPreBind(const Cycle& c, NodeId) override {
    return std::any_of(claims_.begin(), claims_.end(),
                       [&](const ClaimPtr& k) { return !reservedFor(*k, *c.pod); });
  }
  // Reserves each claim for the pod. A claim that changed meanwhile is a conflict: the attempt fails and
  // comes again.
  void preBind(PodPtr pod, std::string, std::function<void(Status)> done) override {
    std::vector<ClaimPtr> claims;
    std::string why = collect(*pod, claims);
    std::erase_if(claims, [&](const ClaimPtr& c) { return reservedFor(*c, *pod); });
    if (!why.empty() || claims.empty()) return done(why.empty() ? Status() : errors::internal(why));
    struct Pending {
      std::atomic<size_t> left;
      std::mutex mutex;
      Status failed;
      std::function<void(Status)> done;
    };
    auto p = std::make_shared<Pending>();
    p->left = claims.size();
    p->done = std::move(done);
    for (const ClaimPtr& claim : claims) {
      auto o = api::Object::of(ResourceClaim(*claim));
      auto& r = o->as<ResourceClaim>().status.reservedFor.add();
      r.resource = "pods";
      r.name = pod->metadata.name;
      r.uid = pod->metadata.uid;
      auto target =
          client::target(ResourceClaim::kType, claim->metadata.namespace_, claim->metadata.name, "status");
      l_.client->update(target, o, {}, [p](Result<api::ObjectPtr> answer) {
        if (!answer.ok()) {
          std::lock_guard lock(p->mutex);
          p->failed = errors::internal(fmt::format("reserve claim: {}", answer.status().message()));
        }
        if (--p->left == 0) p->done(p->failed);
      });
    }
  }

  uint32_t wakes() const override { return kResourceClaim | kSelfClaims | kNodeAdd | kNodeLabel; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kResourceClaim) == 0 || !e.after) return true;
    if (e.after->ns() != waiting.metadata.namespace_.view()) return false;
    std::vector<ClaimPtr> claims;
    if (!collect(waiting, claims).empty()) return false;
    return std::any_of(claims.begin(), claims.end(),
                       [&](const ClaimPtr& c) { return c->metadata.uid == e.after->meta().uid; });
  }

 private:
  // The claim's name, "" if none was made for a template that needs none, nothing if it is still to be made.
  static std::optional<std::string> claimName(const Pod& pod, const api::core_v1::PodResourceClaim& c) {
    if (c.resourceClaimName) return c.resourceClaimName->str();
    for (const auto& s : pod.status.resourceClaimStatuses) {
      if (s.name == c.name) return s.resourceClaimName ? s.resourceClaimName->str() : "";
    }
    return std::nullopt;
  }

  // The pod's claims, or why they cannot be had.
  std::string collect(const Pod& pod, std::vector<ClaimPtr>& out) const {
    for (const auto& c : pod.spec.resourceClaims) {
      auto name = claimName(pod, c);
      if (!name)
        return fmt::format("pod \"{}/{}\": ResourceClaim not created yet", pod.metadata.namespace_,
                           pod.metadata.name);
      if (name->empty()) continue;
      ClaimPtr claim =
          l_.deviceClaims == nullptr
              ? nullptr
              : client::Lister<ResourceClaim>(*l_.deviceClaims).get(pod.metadata.namespace_, *name);
      if (!claim) return fmt::format("resourceclaim.resource.k8s.io \"{}\" not found", *name);
      if (claim->metadata.deletionTimestamp)
        return fmt::format("resourceclaim \"{}\" is being deleted", *name);
      const auto* owner = c.resourceClaimName ? nullptr : controllerOf(claim->metadata);
      if (!c.resourceClaimName && (owner == nullptr || owner->uid != pod.metadata.uid)) {
        return fmt::format("ResourceClaim {}/{} was not created for pod {}/{} (pod is not owner)",
                           pod.metadata.namespace_, *name, pod.metadata.namespace_, pod.metadata.name);
      }
      out.push_back(std::move(claim));
    }
    return "";
  }

  const Listers l_;
  std::vector<ClaimPtr> claims_;
};

}  // namespace

std::unique_ptr<Plugin> makeDynamicResources(const Listers& l) {
  return std::make_unique<DynamicResources>(l);
}

}  // namespace km::scheduler
