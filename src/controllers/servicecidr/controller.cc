#include "controllers/servicecidr/controller.h"

#include <algorithm>

#include "api/types/networking_v1.h"
#include "codec/json.h"
#include "codec/scalars.h"
#include "controllers/nodeipam/cidr_set.h"
#include "controllers/objects.h"

namespace km::controllers::servicecidr {
namespace {

using api::networking_v1::IPAddress;
using api::networking_v1::ServiceCIDR;
using nodeipam::Cidr;
using CidrPtr = std::shared_ptr<const ServiceCIDR>;

constexpr std::string_view kFinalizer = "networking.k8s.io/service-cidr-finalizer";
constexpr std::string_view kManagedBy = "ipaddress.kubernetes.io/managed-by", kAllocator = "ipallocator.k8s.io";
// Until every allocator knows that the range goes.
constexpr int64_t kGraceSeconds = 10;

std::optional<Cidr> addressOf(const IPAddress& ip) {
  bool v6 = ip.metadata.name.view().find(':') != std::string_view::npos;
  auto c = Cidr::parse(ip.metadata.name.str() + (v6 ? "/128" : "/32"));
  return c.ok() ? std::optional(*c) : std::nullopt;
}

bool contains(const ServiceCIDR& range, const Cidr& inner) {
  return std::any_of(range.spec.cidrs.begin(), range.spec.cidrs.end(), [&](const codec::String& text) {
    auto c = Cidr::parse(text);
    return c.ok() && c->contains(inner);
  });
}

class ServiceCidrs : public Controller {
 public:
  explicit ServiceCidrs(Context& context)
      : context_(context),
        recorder_(context.events.recorder("service-cidr-controller")),
        ranges_(context.use<ServiceCIDR>()),
        addresses_(context.use<IPAddress>()),
        loop_(context, "ipaddresses", 5, [this](const std::string& key) { return sync(key); }) {
    // A range that comes or goes may free another, as may an address.
    auto all = [this](const ObjectPtr&) {
      for (const CidrPtr& r : ranges()) loop_.add(r->metadata.name);
    };
    loop_.on(ranges_, {[all](const ObjectPtr& o, bool) { all(o); }, [all](const ObjectPtr&, const ObjectPtr& o) { all(o); },
                       [all](const ObjectPtr& o, bool) { all(o); }});
    loop_.on(addresses_, {[this](const ObjectPtr& o, bool) { touched(*o); }, nullptr, [this](const ObjectPtr& o, bool) { touched(*o); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  std::vector<CidrPtr> ranges() const { return client::Lister<ServiceCIDR>(ranges_).list(); }

  void touched(const api::Object& o) {
    auto address = addressOf(o.as<IPAddress>());
    if (!address) return;
    for (const CidrPtr& r : ranges()) {
      if (r->metadata.deletionTimestamp && contains(*r, *address)) loop_.add(r->metadata.name);
    }
  }

  Status sync(const std::string& name) {
    CidrPtr range = client::Lister<ServiceCIDR>(ranges_).get("", name);
    if (!range) return {};
    if (!range->metadata.deletionTimestamp) {
      if (!hasFinalizer(*range)) KM_TRY(patchFinalizers(*range, "finalizers"));
      Status s = say(*range, "True", "", "Kubernetes Service CIDR is ready");
      if (!s.ok()) {
        recorder_.event(client::referenceTo(*range), client::kEventWarning, "KubernetesServiceCIDRError",
                        "The ServiceCIDR Status can not be set to Ready=True");
      }
      return s;
    }
    if (isNeeded(*range)) {
      return say(*range, "False", "Terminating",
                 "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR");
    }
    int64_t left = range->metadata.deletionTimestamp->seconds + kGraceSeconds - context_.clock().now().seconds;
    if (left > 0) {
      loop_.queue().addAfter(name, std::chrono::seconds(left));
      return {};
    }
    return hasFinalizer(*range) ? patchFinalizers(*range, "$deleteFromPrimitiveList/finalizers") : Status();
  }

  // Whether an address would be in no range without this one.
  bool isNeeded(const ServiceCIDR& range) const {
    std::vector<CidrPtr> others = ranges();
    std::erase_if(others, [&](const CidrPtr& r) { return r->metadata.uid == range.metadata.uid; });
    auto elsewhere = [&](const Cidr& c) {
      return std::any_of(others.begin(), others.end(), [&](const CidrPtr& r) { return contains(*r, c); });
    };
    for (const auto& ip : client::Lister<IPAddress>(addresses_).list()) {
      const codec::String* by = ip->metadata.labels.find(kManagedBy);
      if (by == nullptr || *by != kAllocator) continue;
      auto address = addressOf(*ip);
      if (address && contains(range, *address) && !elsewhere(*address)) return true;
    }
    return false;
  }

  static bool hasFinalizer(const ServiceCIDR& r) {
    const auto& f = r.metadata.finalizers;
    return std::find(f.begin(), f.end(), kFinalizer) != f.end();
  }

  Status patchFinalizers(const ServiceCIDR& r, std::string_view how) {
    std::string body = R"({"metadata":{")" + std::string(how) + R"(":[")" + std::string(kFinalizer) + R"("]}})";
    client::Target t = client::target(ServiceCIDR::kType, "", r.metadata.name);
    return unlessGone(context_.client.patch(t, client::PatchType::kStrategicMerge, std::move(body), writeOptions()).status());
  }

  Status say(const ServiceCIDR& r, std::string_view status, std::string_view reason, std::string_view message) {
    for (const auto& c : r.status.conditions) {
      if (c.type == "Ready" && c.status == status && c.reason == reason && c.message == message) return {};
    }
    std::string body = R"({"kind":"ServiceCIDR","apiVersion":"networking.k8s.io/v1","metadata":{"name":)";
    codec::appendJsonString(body, r.metadata.name);
    body += R"(},"status":{"conditions":[{"type":"Ready","status":")" + std::string(status) + R"(","reason":")" + std::string(reason) +
            R"(","lastTransitionTime":")" + codec::Time(context_.clock().now()).str() + R"(","message":)";
    codec::appendJsonString(body, message);
    body += "}]}}";
    client::WriteOptions options;
    options.fieldManager = "service-cidr-controller";
    options.force = true;
    client::Target t = client::target(ServiceCIDR::kType, "", r.metadata.name, "status");
    return unlessGone(context_.client.patch(t, client::PatchType::kApply, std::move(body), options).status());
  }

  static Status unlessGone(Status s) { return s.code() == 404 ? Status() : s; }

  Context& context_;
  client::EventRecorder recorder_;
  client::SharedInformer& ranges_;
  client::SharedInformer& addresses_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<ServiceCidrs>(context); }

}  // namespace km::controllers::servicecidr
