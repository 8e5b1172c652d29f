#include "controllers/namespace/controller.h"

#include <algorithm>

#include "base/log.h"
#include "controllers/namespace/core.h"
#include "controllers/objects.h"
#include "controllers/resources.h"

namespace km::controllers::nscontroller {
namespace {

using api::core_v1::Namespace;

constexpr std::string_view kFinalizer = "kubernetes";
constexpr int64_t kFinalizerEstimate = 15;  // seconds that finalizers of content may take

// What is left of one resource.
struct Rest {
  int64_t estimate = 0;  // seconds until it may be gone
  int remaining = 0;
};

class NamespaceController : public Controller {
 public:
  explicit NamespaceController(Context& context)
      : context_(context),
        namespaces_(context.use<Namespace>()),
        pods_(context.use<Pod>()),
        loop_(context, "namespace", context.options.concurrentNamespaceSyncs,
              [this](const std::string& key) { return sync(key); }) {
    auto add = [this](const ObjectPtr& o) {
      if (o->meta().deletionTimestamp) loop_.queue().addAfter(o->name(), context_.options.namespaceDeletionDelay);
    };
    loop_.on(namespaces_, {[add](const ObjectPtr& o, bool) { add(o); },
                           [add](const ObjectPtr&, const ObjectPtr& o) { add(o); }, nullptr});
    // The last pod of a namespace that waits for its pods.
    loop_.on(pods_, {nullptr, nullptr, [this](const ObjectPtr& o, bool) {
                       auto ns = client::Lister<Namespace>(namespaces_).get("", o->ns());
                       if (ns && ns->metadata.deletionTimestamp && client::Lister<Pod>(pods_).list(o->ns()).empty()) {
                         loop_.add(o->ns());
                       }
                     }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  Status sync(const std::string& name) {
    if (!client::Lister<Namespace>(namespaces_).get("", name)) return {};
    auto got = getObject<Namespace>(context_.client, "", name);
    if (!got.ok()) return got.status().code() == 404 ? Status() : got.status();
    Namespace ns = **got;
    if (!ns.metadata.deletionTimestamp || ns.spec.finalizers.empty()) return {};
    if (ns.status.phase != "Terminating") {
      ns.status.phase = "Terminating";
      KM_ASSIGN(auto written, updateStatus(context_.client, std::move(ns)));
      ns = *written;
    }
    int64_t estimate = 0;
    KM_TRY(removeContent(ns, estimate));
    if (estimate > 0) {
      KM_VINFO(4, "Content remaining in namespace", {{"namespace", name}, {"waitSeconds", estimate / 2 + 1}});
      loop_.queue().addAfter(name, std::chrono::seconds(estimate / 2 + 1));
      return {};
    }
    return finalize(name);
  }

  Status finalize(const std::string& name) {
    auto got = getObject<Namespace>(context_.client, "", name);
    if (!got.ok()) return got.status().code() == 404 ? Status() : got.status();
    Namespace ns = **got;
    if (ns.spec.finalizers.eraseIf([](const codec::String& f) { return f == kFinalizer; }) == 0) return {};
    Status s = updateObject(context_.client, std::move(ns), "finalize").status();
    return s.code() == 404 ? Status() : s;
  }

  std::vector<const api::Resource*> resources() const {
    auto all = context_.options.resources ? context_.options.resources() : deletableBuiltins();
    std::erase_if(all, [](const api::Resource* r) { return !r->namespaced; });
    return all;
  }

  Status removeContent(Namespace& ns, int64_t& estimate) {
    Findings findings;
    auto all = resources();
    auto isPods = [](const api::Resource* r) { return r->group.empty() && r->name == "pods"; };
    std::stable_partition(all.begin(), all.end(), isPods);
    bool podsLeft = false;
    for (const api::Resource* r : all) {
      auto rest = removeAll(*r, ns, findings);
      if (rest.ok()) {
        estimate = std::max(estimate, rest->estimate);
      } else {
        findings.errors.push_back(rest.status().message());
      }
      if (isPods(r) && rest.ok() && rest->remaining > 0) {
        podsLeft = true;  // they may need what is deleted after them
        break;
      }
    }
    if (updateConditions(ns.status, findings, !podsLeft, context_.clock().now())) {
      Status s = updateStatus(context_.client, ns).status();
      if (!s.ok() && s.code() != 404) logError(s, "Couldn't update status condition for namespace", {{"namespace", ns.metadata.name.view()}});
    }
    if (findings.errors.empty()) return {};
    return errors::failed(findings.errors.front());
  }

  Result<Rest> removeAll(const api::Resource& r, const Namespace& ns, Findings& findings) {
    client::Target t{&r, ns.metadata.name.str(), "", ""};
    auto listed = context_.client.list(t);
    if (!listed.ok()) return isUnsupported(listed.status()) ? Result<Rest>(Rest{}) : listed.status();
    if (listed->items.empty()) return Rest{};
    int64_t grace = graceOf(listed->items, ns);
    client::DeleteOptions options{.propagationPolicy = "Background"};
    if (hasVerb(r, "deletecollection")) {
      Status s = context_.client.removeCollection(t, {}, options);
      if (!s.ok() && !isUnsupported(s)) return s;
    } else {
      for (const ObjectPtr& o : listed->items) {
        t.name = o->name();
        Status s = context_.client.remove(t, options);
        if (!s.ok() && !isUnsupported(s)) return s;
      }
      t.name.clear();
    }
    KM_ASSIGN(auto left, context_.client.list(t));
    if (left.items.empty()) return Rest{};
    Rest rest{grace, static_cast<int>(left.items.size())};
    std::string name = std::string(r.name) + "." + std::string(r.group);
    findings.remaining[name] = rest.remaining;
    bool finalizers = false;
    for (const ObjectPtr& o : left.items) {
      for (const codec::String& f : o->meta().finalizers) {
        findings.finalizers[f.str()]++;
        finalizers = true;
      }
    }
    if (rest.estimate != 0) return rest;
    if (finalizers) {
      rest.estimate = kFinalizerEstimate;
      return rest;
    }
    return errors::failed("unexpected items still remain in namespace: " + ns.metadata.name.str() + " for gvr: " +
                          std::string(r.group) + "/" + std::string(r.version) + ", Resource=" + std::string(r.name));
  }

  // Seconds that pods may take to end, unless the namespace has waited for longer.
  int64_t graceOf(const std::vector<ObjectPtr>& items, const Namespace& ns) const {
    int64_t grace = 0;
    for (const ObjectPtr& o : items) {
      if (!o->is(Pod::kType)) return 0;
      const Pod& p = o->as<Pod>();
      if (!isPodTerminal(p)) grace = std::max(grace, p.spec.terminationGracePeriodSeconds.value_or(0));
    }
    int64_t waited = context_.clock().now().seconds - ns.metadata.deletionTimestamp->seconds;
    return waited >= grace ? 0 : grace;
  }

  static bool isUnsupported(const Status& s) { return s.code() == 404 || s.code() == 405; }

  Context& context_;
  client::SharedInformer& namespaces_;
  client::SharedInformer& pods_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<NamespaceController>(context); }

}  // namespace km::controllers::nscontroller
