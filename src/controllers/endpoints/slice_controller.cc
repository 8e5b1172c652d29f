#include "controllers/endpoints/slice_controller.h"

#include "api/selector.h"
#include "controllers/endpoints/slice_core.h"

namespace km::controllers::endpoints {
namespace {

using api::core_v1::Node;

// What this controller wrote and its informer did not show yet: acting on older slices would make endpoints twice.
class Written {
 public:
  void wrote(const std::string& service, const EndpointSlice& s) {
    std::lock_guard lock(mutex_);
    open_[service][s.metadata.uid.str()] = s.metadata.generation;
  }
  void removed(const std::string& service, const EndpointSlice& s) {
    std::lock_guard lock(mutex_);
    open_[service][s.metadata.uid.str()] = kRemoved;
  }
  // Whether the change is news: not the echo of a write.
  bool isNews(const std::string& service, const EndpointSlice& s) {
    std::lock_guard lock(mutex_);
    auto it = open_[service].find(s.metadata.uid.str());
    return it == open_[service].end() || (it->second != kRemoved && it->second < s.metadata.generation);
  }
  // True if the deletion was not this controller's.
  bool seenRemoved(const std::string& service, const EndpointSlice& s) {
    std::lock_guard lock(mutex_);
    auto& all = open_[service];
    auto it = all.find(s.metadata.uid.str());
    bool own = it != all.end() && it->second == kRemoved;
    if (it != all.end()) all.erase(it);
    return !own;
  }
  bool isStale(const std::string& service, const std::vector<SlicePtr>& slices) {
    std::lock_guard lock(mutex_);
    std::map<std::string, int64_t> generations;
    for (const SlicePtr& s : slices) generations[s->metadata.uid.str()] = s->metadata.generation;
    for (const auto& [uid, wanted] : open_[service]) {
      auto it = generations.find(uid);
      if (wanted == kRemoved ? it != generations.end() : it == generations.end() || it->second < wanted) return true;
    }
    return false;
  }
  void forget(const std::string& service) {
    std::lock_guard lock(mutex_);
    open_.erase(service);
  }

 private:
  static constexpr int64_t kRemoved = -1;
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, int64_t>> open_;  // by service and uid: the generation written
};

class SliceController : public Controller {
 public:
  explicit SliceController(Context& context)
      : context_(context),
        services_(context.use<Service>()),
        pods_(context.use<Pod>()),
        nodes_(context.use<Node>()),
        slices_(context.use<EndpointSlice>()),
        serviceLister_(services_),
        podLister_(pods_),
        nodeLister_(nodes_),
        sliceLister_(slices_),
        recorder_(context.events.recorder("endpoint-slice-controller")),
        loop_(context, "endpoint_slice", context.options.concurrentServiceEndpointSyncs,
              [this](const std::string& key) { return sync(key); }) {
    slices_.addIndex(kByService, [](const api::Object& o) { return std::vector<std::string>{serviceOf(o.meta())}; });
    loop_.onKeys(services_);
    loop_.on(pods_, podHandler(serviceLister_, [this](const std::string& key) { loop_.add(key); }));
    loop_.on(slices_, {[this](const ObjectPtr& o, bool) { sliceChanged(o->as<EndpointSlice>()); },
                       [this](const ObjectPtr& a, const ObjectPtr& b) {
                         if (serviceOf(a->meta()) != serviceOf(b->meta())) sliceChanged(a->as<EndpointSlice>());
                         sliceChanged(b->as<EndpointSlice>());
                       },
                       [this](const ObjectPtr& o, bool) { sliceRemoved(o->as<EndpointSlice>()); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  static constexpr std::string_view kByService = "sliceService";

  // The key of the service of a slice that this controller manages; "" for others.
  static std::string serviceOf(const ObjectMeta& slice) {
    const codec::String *name = slice.labels.find(kServiceNameLabel), *manager = slice.labels.find(kManagedByLabel);
    if (name == nullptr || name->empty() || manager == nullptr || *manager != kSliceController) return "";
    return slice.namespace_.str() + "/" + name->str();
  }

  void sliceChanged(const EndpointSlice& s) {
    std::string key = serviceOf(s.metadata);
    if (!key.empty() && written_.isNews(key, s)) loop_.add(key);
  }

  void sliceRemoved(const EndpointSlice& s) {
    std::string key = serviceOf(s.metadata);
    if (!key.empty() && written_.seenRemoved(key, s)) loop_.add(key);
  }

  Status sync(const std::string& key) {
    ServicePtr service = serviceLister_.getKey(key);
    if (!service) {
      triggers_.forget(key);
      written_.forget(key);
      return {};
    }
    if (service->spec.type == "ExternalName" || service->spec.selector.empty()) return {};
    auto pods = podsOfService(podLister_, *service);
    auto existing = sliceLister_.byIndex(kByService, key);
    std::erase_if(existing, [](const SlicePtr& s) { return s->metadata.deletionTimestamp.has_value(); });
    if (written_.isStale(key, existing)) return errors::conflict({}, key, "EndpointSlice informer cache is out of date");
    std::sort(existing.begin(), existing.end(),
              [](const SlicePtr& a, const SlicePtr& b) { return a->metadata.name < b->metadata.name; });
    codec::Time trigger = triggers_.compute(*service, pods);
    auto changes = reconcileSlices(
        *service, pods, [this](std::string_view name) { return nodeLister_.get("", name); }, existing,
        static_cast<size_t>(context_.options.maxEndpointsPerSlice));
    Status s = write(key, *service, changes, trigger);
    if (!s.ok()) {
      recorder_.event(client::referenceTo(*service), client::kEventWarning, "FailedToUpdateEndpointSlices",
                      "Error updating Endpoint Slices for Service " + key + ": " + s.message());
      return s;
    }
    return changes.error;
  }

  Status write(const std::string& key, const Service& service, SliceChanges& changes, codec::Time trigger) {
    auto annotate = [&](EndpointSlice& s) {
      if (trigger.isZero()) {
        s.metadata.annotations.erase(kTriggerTime);
      } else {
        s.metadata.annotations[kTriggerTime] = trigger.str();
      }
    };
    if (!service.metadata.deletionTimestamp) {
      for (EndpointSlice& s : changes.create) {
        annotate(s);
        auto r = createObject(context_.client, std::move(s));
        if (hasCause(r.status(), "NamespaceTerminating")) return {};
        if (!r.ok()) return prefixed("failed to create EndpointSlice for Service " + key, r.status());
        written_.wrote(key, **r);
      }
    }
    for (EndpointSlice& s : changes.update) {
      annotate(s);
      std::string name = s.metadata.name.str();
      auto r = updateObject(context_.client, std::move(s));
      if (!r.ok()) return prefixed("failed to update " + name + " EndpointSlice for Service " + key, r.status());
      written_.wrote(key, **r);
    }
    for (const SlicePtr& s : changes.remove) {
      Status r = removeObject<EndpointSlice>(context_.client, s->metadata.namespace_, s->metadata.name);
      if (!r.ok() && r.code() != 404) {
        return prefixed("failed to delete " + s->metadata.name.str() + " EndpointSlice for Service " + key, r);
      }
      if (r.ok()) written_.removed(key, *s);
    }
    return {};
  }

  static Status prefixed(const std::string& what, const Status& why) {
    return Status(why.code(), why.reason(), what + ": " + why.message());
  }

  Context& context_;
  client::SharedInformer& services_;
  client::SharedInformer& pods_;
  client::SharedInformer& nodes_;
  client::SharedInformer& slices_;
  client::Lister<Service> serviceLister_;
  client::Lister<Pod> podLister_;
  client::Lister<Node> nodeLister_;
  client::Lister<EndpointSlice> sliceLister_;
  client::EventRecorder recorder_;
  TriggerTimes triggers_;
  Written written_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> makeSlices(Context& context) { return std::make_unique<SliceController>(context); }

}  // namespace km::controllers::endpoints
