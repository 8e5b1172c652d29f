#include "controllers/nodeipam/controller.h"

#include <map>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "controllers/nodeipam/cidr_set.h"
#include "controllers/objects.h"

namespace km::controllers::nodeipam {
namespace {

using api::core_v1::Node;

class NodeIpam : public Controller {
 public:
  NodeIpam(Context& context, std::vector<CidrSet> sets)
      : context_(context),
        nodes_(context.use<Node>()),
        sets_(std::move(sets)),
        recorder_(context.events.recorder("cidrAllocator")),
        loop_(context, "cidrallocator_node", 1, [this](const std::string& key) { return sync(key); }) {
    for (std::string_view range : split(context.options.serviceClusterIpRange, ',')) {
      auto c = Cidr::parse(range);
      if (!c.ok()) continue;
      for (CidrSet& s : sets_) {
        if (s.range().v6 == c->v6) (void)s.occupy(*c).ok();  // outside: nothing to keep free
      }
    }
    loop_.on(nodes_, {[this](const ObjectPtr& o, bool) { changed(o->as<Node>()); },
                      [this](const ObjectPtr&, const ObjectPtr& o) { changed(o->as<Node>()); },
                      [this](const ObjectPtr& o, bool) { gone(o->as<Node>()); }});
  }
  void start() override {
    // Those that are given already must not be given again.
    for (const auto& n : client::Lister<Node>(nodes_).list()) mark(*n, true);
    loop_.start();
  }
  void stop() override { loop_.stop(); }

 private:
  void changed(const Node& n) {
    if (n.spec.podCIDRs.empty()) {
      loop_.add(n.metadata.name);
    } else {
      mark(n, true);
    }
  }
  void gone(const Node& n) {
    mark(n, false);
    std::lock_guard lock(mutex_);
    written_.erase(n.metadata.name.str());
  }

  void mark(const Node& n, bool taken) {
    std::lock_guard lock(mutex_);
    if (taken) written_.erase(n.metadata.name.str());
    for (size_t i = 0; i < n.spec.podCIDRs.size() && i < sets_.size(); i++) {
      auto c = Cidr::parse(n.spec.podCIDRs[i]);
      Status s = !c.ok() ? c.status() : taken ? sets_[i].occupy(*c) : sets_[i].release(*c);
      if (!s.ok()) logError(s, "Node has a range that is not of this cluster", {{"node", n.metadata.name.view()}});
    }
  }

  Status sync(const std::string& name) {
    auto node = client::Lister<Node>(nodes_).get("", name);
    if (!node || !node->spec.podCIDRs.empty()) return {};
    std::vector<Cidr> given;
    {
      std::lock_guard lock(mutex_);
      auto done = written_.find(name);
      if (done != written_.end() && done->second == node->metadata.uid) return {};
      for (CidrSet& s : sets_) {
        auto c = s.allocate();
        if (!c) {
          giveBack(given);
          recorder_.event(client::referenceTo(*node), client::kEventNormal, "CIDRNotAvailable",
                          "Node " + name + " status is now: CIDRNotAvailable");
          return errors::failed("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range");
        }
        given.push_back(*c);
      }
    }
    std::string list;
    for (const Cidr& c : given) list += (list.empty() ? "\"" : ",\"") + c.str() + "\"";
    std::string body = R"({"spec":{"podCIDR":")" + given[0].str() + R"(","podCIDRs":[)" + list + "]}}";
    Status s = context_.client
                   .patch(client::target(Node::kType, "", name), client::PatchType::kStrategicMerge, std::move(body),
                          writeOptions())
                   .status();
    if (s.ok()) {
      std::lock_guard lock(mutex_);
      written_[name] = node->metadata.uid.str();
      return {};
    }
    // Refused for good: nobody has them. After a broken connection the node may have them; then the informer tells.
    if (s.code() >= 400 && s.code() < 500) {
      std::lock_guard lock(mutex_);
      giveBack(given);
    }
    if (s.code() == 404) return {};
    recorder_.event(client::referenceTo(*node), client::kEventNormal, "CIDRAssignmentFailed",
                    "Node " + name + " status is now: CIDRAssignmentFailed");
    return s;
  }

  void giveBack(const std::vector<Cidr>& given) {
    for (size_t i = 0; i < given.size(); i++) (void)sets_[i].release(given[i]).ok();
  }

  Context& context_;
  client::SharedInformer& nodes_;
  std::mutex mutex_;
  std::vector<CidrSet> sets_;
  std::map<std::string, std::string> written_;  // uids of nodes that have their ranges, which the informer does not show yet
  client::EventRecorder recorder_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) {
  const Options& o = context.options;
  if (!o.allocateNodeCidrs) return nullptr;
  std::vector<CidrSet> sets;
  for (std::string_view text : split(o.clusterCidr, ',')) {
    auto range = Cidr::parse(trimSpace(text));
    auto set = range.ok() ? CidrSet::make(*range, range->v6 ? o.nodeCidrMaskSizeIpv6 : o.nodeCidrMaskSizeIpv4)
                          : Result<CidrSet>(range.status());
    if (!set.ok()) {
      logError(set.status(), "node-ipam-controller does not run: --cluster-cidr is not usable");
      return nullptr;
    }
    sets.push_back(std::move(*set));
  }
  return std::make_unique<NodeIpam>(context, std::move(sets));
}

}  // namespace km::controllers::nodeipam
