// What the Endpoints and the EndpointSlice controllers share: which pods a service has and at which ports. Pure, except the
// watcher at the end.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controllers/context.h"
#include "controllers/objects.h"

namespace km::controllers::endpoints {

using api::core_v1::Service;
using ServicePtr = std::shared_ptr<const Service>;

inline constexpr std::string_view kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";
inline constexpr std::string_view kHeadlessLabel = "service.kubernetes.io/headless";

bool isHeadless(const Service& s);  // without a cluster IP
// Has an address and did not end; terminating pods only if asked for.
bool belongsInEndpoints(const Pod& pod, bool includeTerminating);
bool shouldSetHostname(const Pod& pod, const Service& s);
// The number of a target port, which may be a container port's name; nullopt if the pod has none.
std::optional<int32_t> findPort(const Pod& pod, const api::core_v1::ServicePort& port);
// Selected by the service, by name.
std::vector<PodPtr> podsOfService(const client::Lister<Pod>& pods, const Service& s);
// An address in canonical form, and whether it is IPv6; nullopt if it is none.
struct Address {
  std::string text;
  bool v6;
};
std::optional<Address> parseAddress(std::string_view text);

// When the change that led to a service's current endpoints happened: the earliest change since the last call. Any thread.
class TriggerTimes {
 public:
  // Zero time if nothing changed.
  codec::Time compute(const Service& s, const std::vector<PodPtr>& pods);
  void forget(const std::string& key);

 private:
  struct Seen {
    codec::Time service;
    std::map<std::string, codec::Time, std::less<>> pods;
  };
  std::mutex mutex_;
  std::map<std::string, Seen> seen_;
};

// Calls `touch` with the key of each service whose endpoints a change of a pod may have changed.
client::Handler podHandler(client::Lister<Service> services, std::function<void(const std::string& key)> touch);

}  // namespace km::controllers::endpoints
