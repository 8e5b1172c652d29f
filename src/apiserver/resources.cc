#include "apiserver/resources.h"

#include <fmt/format.h>

#include <algorithm>

#include "registry/catalog.h"

namespace km::apiserver {
namespace {

constexpr int64_t kEventTtlSeconds = 3600;  // --event-ttl

std::string_view indexFieldOf(const api::Resource& r) {
  return r.group.empty() && r.name == "pods" ? "spec.nodeName" : "";
}

}  // namespace

const api::Subresource* Served::subresource(std::string_view name) const {
  for (const api::Subresource& s : resource->subresources) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

bool Served::isOwn(std::string_view sub) const {
  if (sub.empty()) return true;
  const api::Subresource* s = subresource(sub);
  return s != nullptr && s->kind == resource->kind && s->name != "log";
}

bool Served::supports(std::string_view verb) const {
  return std::find(resource->verbs.begin(), resource->verbs.end(), verb) != resource->verbs.end();
}

Resources::Resources(store::Store& store, Clock& clock, std::function<void(std::function<void()>)> offload) {
  for (const api::Resource& r : api::builtinResources()) {
    Served s;
    s.resource = &r;
    if (registry::isStored(r)) {
      const api::Resource& kept = *registry::storageResource(r);
      Stored& stored = stored_[fmt::format("{}/{}", kept.group, kept.name)];
      if (!stored.registry) {
        stored.strategy = registry::makeStrategy(kept);
        cache::Config config{&kept, registry::storePrefix(kept.group, kept.name), std::string(indexFieldOf(kept))};
        stored.cache = std::make_unique<cache::ResourceCache>(store, std::move(config), clock);
        stored.registry = std::make_unique<registry::Registry>(store, *stored.cache, *stored.strategy, clock, offload);
        for (auto& [name, strategy] : registry::makeSubresourceStrategies(kept)) stored.registry->addSubresource(name, std::move(strategy));
        if (kept.group.empty() && kept.name == "events") stored.registry->setTtl(kEventTtlSeconds);
      }
      s.registry = stored.registry.get();
    }
    index_[fmt::format("{}/{}/{}", r.group, r.version, r.name)] = served_.size();
    served_.push_back(s);
  }
}

Resources::~Resources() = default;

Status Resources::start() {
  for (auto& [name, stored] : stored_) KM_TRY(stored.cache->start());
  counts_ = MetricRegistry::process().callback(
      "apiserver_resource_objects", "[ALPHA] Number of stored objects at the time of last check split by kind.", MetricType::kGauge,
      {"group", "resource"}, [this](MetricEmitter& out) {
        for (auto& [name, stored] : stored_) {
          const api::Resource& r = stored.registry->resource();
          out.emit({r.group, r.name}, static_cast<double>(stored.cache->size()));
        }
      });
  return {};
}

const Served* Resources::find(std::string_view group, std::string_view version, std::string_view resource) const {
  auto it = index_.find(fmt::format("{}/{}/{}", group, version, resource));
  return it == index_.end() ? nullptr : &served_[it->second];
}

registry::Registry* Resources::registry(std::string_view group, std::string_view resource) const {
  auto it = stored_.find(fmt::format("{}/{}", group, resource));
  return it == stored_.end() ? nullptr : it->second.registry.get();
}

const cache::ResourceCache& Resources::cache(std::string_view group, std::string_view resource) const {
  return *stored_.find(fmt::format("{}/{}", group, resource))->second.cache;
}

bool Resources::hasGroupVersion(std::string_view group, std::string_view version) const {
  return std::any_of(served_.begin(), served_.end(),
                     [&](const Served& s) { return s.resource->group == group && s.resource->version == version; });
}

bool Resources::hasGroup(std::string_view group) const {
  return std::any_of(served_.begin(), served_.end(), [&](const Served& s) { return s.resource->group == group; });
}

}  // namespace km::apiserver
