// Gives services their cluster IPs, node ports and health check ports. The sets live in memory and are rebuilt from the stored
// services at start; what one server gives it remembers until the service goes.
//
// The API server calls begin* before the strategy prepares and validates, then commit() once the write is stored, or revert()
// where it was not. Any thread; a lock is held only for the length of a call.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "api/object.h"
#include "base/result.h"
#include "registry/ip.h"

namespace km::registry {

class ServiceAllocator {
 public:
  struct Options {
    std::vector<Cidr> ranges;  // one for each family; the first is the default family
    int firstPort = 30000;
    int lastPort = 32767;
    std::function<bool(const Ip&)> isReserved = {};  // by somebody else; asked with the lock held
    std::function<bool(int port)> isPortReserved = {};
    // What stored services have is told by the two above: here stands only what writes under way take.
    bool keptElsewhere = false;
  };

  // What one write has taken, and what it will have freed. Neither committed nor reverted by its destructor: call one of them.
  struct Change {
    std::vector<Ip> ips, freedIps;
    std::vector<int> ports, freedPorts;
  };

  explicit ServiceAllocator(Options options);

  // Forgets all, then takes what the services have.
  void reset(std::span<const api::ObjectPtr> services);

  // Fills the families, addresses and ports of a service that is to be created.
  Result<Change> beginCreate(api::Object& service);
  // The same for an update: keeps what the client did not repeat, frees what the new service does not need.
  Result<Change> beginUpdate(api::Object& service, const api::Object& old);
  void commit(const Change& change);
  void revert(const Change& change);
  // The service is gone.
  void release(const api::Object& service);

  const std::vector<Cidr>& ranges() const { return options_.ranges; }
  bool isTaken(const Ip& ip) const;
  bool isTaken(int port) const;

 private:
  struct Work;

  std::string takeIp(const Ip& ip);                // what is wrong, or nothing
  std::string takeNextIp(const Cidr& range, Ip& out);
  std::string takePort(int port);
  std::string takeNextPort(int& out);
  const Cidr* rangeOf(bool four) const;

  Options options_;
  mutable std::mutex mutex_;
  std::set<Ip> ips_;
  std::set<int> ports_;
  std::mt19937_64 random_;
};

}  // namespace km::registry
