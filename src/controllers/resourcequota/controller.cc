#include "controllers/resourcequota/controller.h"

#include <atomic>
#include <mutex>

#include "controllers/objects.h"
#include "controllers/resources.h"
#include "resources/quota_check.h"

namespace km::controllers::resourcequota {
namespace {

using api::core_v1::ResourceQuota;
using resources::ResourceList;

class QuotaController : public Controller {
 public:
  explicit QuotaController(Context& context)
      : context_(context),
        quotas_(context.use<ResourceQuota>()),
        loop_(context, "resourcequota_primary", context.options.concurrentResourceQuotaSyncs,
              [this](const std::string& key) { return sync(key); }) {}

  void start() override {
    auto all = context_.options.resources ? context_.options.resources() : deletableBuiltins();
    for (const api::Resource* r : all) {
      if (!r->namespaced || !hasVerb(*r, "create") || !hasVerb(*r, "list") || !hasVerb(*r, "watch")) continue;
      if (resources::isIgnoredByQuota(r->group, r->name)) continue;
      kinds_.push_back({resources::makeEvaluator(r->group, r->name),
                        &context_.informers.informer(client::SharedInformer::What{r, "", "", ""})});
    }
    context_.informers.start();
    for (const Kind& kind : kinds_) watchKind(kind);
    loop_.on(quotas_, {[this](const ObjectPtr& o, bool) { loop_.add(keyOf(o->meta())); },
                       [this](const ObjectPtr& before, const ObjectPtr& now) {
                         // Only what is wanted: the status is written here and by admission.
                         if (!resources::sameAmounts(hardOf(before), hardOf(now))) loop_.add(keyOf(now->meta()));
                       },
                       nullptr});
    // Counting begins when every kind is known: less than what there is would let too much in. The call may come after stop().
    auto left = std::make_shared<std::atomic<size_t>>(kinds_.size());
    for (const Kind& kind : kinds_) {
      kind.informer->whenSynced([this, left, weak = std::weak_ptr(lane_)] {
        if (--*left > 0) return;
        if (auto lane = weak.lock()) lane->post([this] { begin(); });
      });
    }
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    context_.timers.cancel(timer_);
    lane_->close();
    loop_.stop();
  }

 private:
  struct Kind {
    std::unique_ptr<resources::Evaluator> evaluator;
    client::SharedInformer* informer;
  };

  static const ResourceList& hardOf(const ObjectPtr& o) { return o->as<ResourceQuota>().spec.hard; }

  void begin() {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    loop_.start();
    armResync();
  }

  // The safety net: pods that are stuck beyond their grace period stop counting without an event.
  void armResync() {
    timer_ = context_.timers.after(context_.options.resourceQuotaSyncPeriod, [this] {
      for (const auto& q : client::Lister<ResourceQuota>(quotas_).list()) loop_.add(keyOf(q->metadata));
      std::lock_guard lock(mutex_);
      if (!stopped_) armResync();
    });
  }

  void watchKind(const Kind& kind) {
    const resources::Evaluator* evaluator = kind.evaluator.get();
    loop_.on(*kind.informer, {nullptr,
                              [this, evaluator](const ObjectPtr& before, const ObjectPtr& now) {
                                if (evaluator->changes(*before, *now, context_.clock().now())) replenish(*evaluator, now->ns());
                              },
                              [this, evaluator](const ObjectPtr& o, bool) { replenish(*evaluator, o->ns()); }});
  }

  void replenish(const resources::Evaluator& evaluator, std::string_view ns) {
    for (const auto& q : client::Lister<ResourceQuota>(quotas_).list(ns)) {
      if (!evaluator.matching(resources::namesOf(q->status.hard)).empty()) loop_.add(keyOf(q->metadata));
    }
  }

  Status sync(const std::string& key) {
    auto quota = client::Lister<ResourceQuota>(quotas_).getKey(key);
    if (!quota) return {};
    std::vector<resources::Population> populations;
    for (const Kind& kind : kinds_) {
      populations.push_back({kind.evaluator.get(), [&kind, &quota] {
                               return kind.informer->store().byIndex(client::kNamespaceIndex, quota->metadata.namespace_);
                             }});
    }
    // What no kind here is counted under keeps its last value.
    ResourceList now = resources::used(*quota, populations, context_.clock().now());
    ResourceList used;
    for (const auto& [name, q] : quota->spec.hard) {
      const codec::Quantity* amount = now.find(name);
      if (amount == nullptr) amount = quota->status.used.find(name);
      if (amount != nullptr) used[name] = *amount;
    }
    bool same = resources::sameAmounts(quota->spec.hard, quota->status.hard) && resources::sameAmounts(used, quota->status.used);
    if (same && !(quota->status.hard.empty() && !quota->spec.hard.empty())) return {};
    ResourceQuota next = *quota;
    next.status.hard = quota->spec.hard;
    next.status.used = std::move(used);
    Status s = updateStatus(context_.client, std::move(next)).status();
    return s.code() == 404 ? Status() : s;
  }

  Context& context_;
  client::SharedInformer& quotas_;
  std::vector<Kind> kinds_;
  std::mutex mutex_;
  bool stopped_ = false;
  client::Timers::Id timer_ = {};
  std::shared_ptr<client::Lane> lane_ = std::make_shared<client::Lane>(context_.pool);
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<QuotaController>(context); }

}  // namespace km::controllers::resourcequota
