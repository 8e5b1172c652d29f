// The resources of one server: for each stored one its cache, strategy and registry, found by what a path says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "cache/resource_cache.h"
#include "registry/registry.h"
#include "registry/strategy.h"
#include "store/store.h"

namespace km::apiserver {

// A resource as one version serves it.
struct Served {
  const api::Resource* resource = nullptr;
  registry::Registry* registry = nullptr;  // null: not stored (reviews, bindings)
  // Whether objects must be converted between this version and the stored one.
  bool converts() const { return registry != nullptr && resource->type != registry->resource().type; }
  const api::Subresource* subresource(std::string_view name) const;
  bool supports(std::string_view verb) const;
  // Whether the subresource is a view of the resource's own kind (status, finalize), so that it is written as the resource is; none is.
  bool isOwn(std::string_view subresource) const;
};

class Resources {
 public:
  Resources(store::Store& store, Clock& clock, std::function<void(std::function<void()>)> offload);
  ~Resources();

  // Reads every resource's objects. Blocks.
  Status start();

  const Served* find(std::string_view group, std::string_view version, std::string_view resource) const;
  // The stored resource, in whatever version.
  registry::Registry* registry(std::string_view group, std::string_view resource) const;
  const cache::ResourceCache& cache(std::string_view group, std::string_view resource) const;
  template <typename Fn>
  void eachCache(Fn fn) {
    for (auto& [name, stored] : stored_) fn(*stored.cache);
  }
  bool hasGroupVersion(std::string_view group, std::string_view version) const;
  bool hasGroup(std::string_view group) const;
  const std::vector<Served>& all() const { return served_; }

 private:
  struct Stored {
    std::unique_ptr<registry::Strategy> strategy;
    std::unique_ptr<cache::ResourceCache> cache;
    std::unique_ptr<registry::Registry> registry;
  };
  std::map<std::string, Stored, std::less<>> stored_;  // by "group/resource"
  std::vector<Served> served_;
  std::unique_ptr<MetricRegistry::Registration> counts_;
  std::map<std::string, size_t, std::less<>> index_;   // "group/version/resource" -> served_
};

}  // namespace km::apiserver
