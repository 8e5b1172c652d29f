// The names of the cluster domain, by the Kubernetes DNS specification 1.1.0. Pure: reads listers, opens nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/informer.h"
#include "dns/packet.h"

namespace km::dns {

// Indexes that the zone's informers need.
inline constexpr std::string_view kByService = "dns-service";    // of slices: "ns/service"
inline constexpr std::string_view kByAddress = "dns-address";    // of services and slices: each address

class Zone {
 public:
  // Adds the indexes. The informers must outlive the zone.
  Zone(std::string domain, client::SharedInformer& services, client::SharedInformer& slices);

  // Nullopt: the name is not ours; ask elsewhere. `now`, in seconds, is the serial of the zone.
  std::optional<Answer> answer(const Question& question, uint32_t now) const;

 private:
  struct Query;
  void resolve(Query& query) const;
  void service(Query& query, std::string_view ns, std::string_view name, std::vector<std::string_view> rest) const;
  std::optional<Answer> reverse(const Question& question, uint32_t now) const;
  std::string domain_;  // lower case
  const client::SharedInformer& services_;
  const client::SharedInformer& slices_;
};

}  // namespace km::dns
