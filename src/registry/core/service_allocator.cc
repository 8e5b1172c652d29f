#include "registry/core/service_allocator.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/status.h"
#include "registry/core/service_rules.h"

namespace km::registry {

namespace v1 = api::core_v1;
using v1::Service;

namespace {

constexpr std::string_view kIpTaken = "provided IP is already allocated";
constexpr std::string_view kOtherNetwork = "the provided network does not match the current range";
constexpr std::string_view kPortTaken = "provided port is already allocated";

std::string_view familyName(bool four) { return four ? "IPv4" : "IPv6"; }

Status invalid(const FieldErrors& errors, const Service& s) { return errors.toStatus("", "Service", s.metadata.name); }

bool isSingle(const Service& s) { return s.spec.ipFamilyPolicy && *s.spec.ipFamilyPolicy == "SingleStack"; }

// The last host bits of the range as an offset; wide ranges are cut to 2^32 addresses.
uint64_t hostCount(const Cidr& range) {
  int bits = (range.is4() ? 32 : 128) - range.bits;
  return bits >= 32 ? uint64_t{1} << 32 : uint64_t{1} << bits;
}

Ip offsetIp(const Cidr& range, uint64_t offset) {
  Ip ip = range.network;
  for (size_t i = 16; i-- > 0 && offset != 0;) {
    offset += ip.bytes[i];
    ip.bytes[i] = static_cast<uint8_t>(offset);
    offset >>= 8;
  }
  return ip;
}

// The old, singular field and the list follow each other.
void normalize(Service& s, const Service* old) {
  auto& now = s.spec;
  if (old == nullptr) {
    if (!now.clusterIP.empty() && now.clusterIPs.empty()) now.clusterIPs = {now.clusterIP};
    return;
  }
  const auto& was = old->spec;
  if (!was.clusterIPs.empty() && now.clusterIPs.empty() && was.clusterIP == now.clusterIP) now.clusterIPs = was.clusterIPs;
  if (was.clusterIP == now.clusterIP || !(now.clusterIPs == was.clusterIPs)) return;
  if (!was.clusterIP.empty() && now.clusterIP.empty()) {
    now.clusterIPs.clear();
  } else {
    now.clusterIPs = {now.clusterIP};
  }
}

bool wantsNodePorts(const Service& s) {
  if (s.spec.type == "NodePort") return true;
  return s.spec.type == "LoadBalancer" && s.spec.allocateLoadBalancerNodePorts.value_or(true);
}

// What was given to the service stays its own where the client does not name it.
void keepAllocated(Service& s, const Service& old) {
  auto& now = s.spec;
  const auto& was = old.spec;
  if (needsClusterIp(old) && needsClusterIp(s)) {
    if (now.clusterIP.empty()) now.clusterIP = was.clusterIP;
    if (now.clusterIPs.empty()) now.clusterIPs = was.clusterIPs;
  }
  if (wantsNodePorts(old) && wantsNodePorts(s)) {
    auto has = [](const v1::ServiceSpec& spec, int port) {
      return std::any_of(spec.ports.begin(), spec.ports.end(), [&](const v1::ServicePort& p) { return p.nodePort == port; });
    };
    v1::ServiceSpec given = now;
    for (auto& p : now.ports) {
      if (p.nodePort != 0) continue;
      for (const auto& o : was.ports) {
        if (o.name == p.name && o.nodePort != 0 && !has(given, o.nodePort)) p.nodePort = o.nodePort;
      }
    }
  }
  if (needsHealthCheckPort(old) && needsHealthCheckPort(s) && now.healthCheckNodePort == 0) {
    now.healthCheckNodePort = was.healthCheckNodePort;
  }
}

bool hasAddresses(const Service& s) { return needsClusterIp(s) && !isHeadless(s); }

}  // namespace

// One write in the making: holds the lock's owner, and undoes itself unless it is finished.
struct ServiceAllocator::Work {
  ServiceAllocator& a;
  Change change;
  bool done = false;

  ~Work() {
    if (done) return;
    for (const Ip& ip : change.ips) a.ips_.erase(ip);
    for (int port : change.ports) a.ports_.erase(port);
  }
  Status families(Service& s, const Service* old);
  Status addresses(Service& s, size_t from);
  Status nodePorts(Service& s, const Service* old);
  Status healthPort(Service& s);
  std::string port(int number) {
    std::string error = a.takePort(number);
    if (error.empty()) change.ports.push_back(number);
    return error;
  }
  std::string nextPort(int& number) {
    std::string error = a.takeNextPort(number);
    if (error.empty()) change.ports.push_back(number);
    return error;
  }
};

ServiceAllocator::ServiceAllocator(Options options) : options_(std::move(options)), random_(std::random_device{}()) {}

void ServiceAllocator::reset(std::span<const api::ObjectPtr> services) {
  std::lock_guard lock(mutex_);
  ips_.clear();
  ports_.clear();
  if (options_.keptElsewhere) return;
  for (const auto& o : services) {
    const auto& s = o->as<Service>();
    for (const auto& text : s.spec.clusterIPs) {
      if (auto ip = Ip::parseSloppy(text)) ips_.insert(*ip);
    }
    for (const auto& p : s.spec.ports) {
      if (p.nodePort != 0) ports_.insert(p.nodePort);
    }
    if (s.spec.healthCheckNodePort != 0) ports_.insert(s.spec.healthCheckNodePort);
  }
}

const Cidr* ServiceAllocator::rangeOf(bool four) const {
  for (const Cidr& r : options_.ranges) {
    if (r.is4() == four) return &r;
  }
  return nullptr;
}

std::string ServiceAllocator::takeIp(const Ip& ip) {
  const Cidr* range = rangeOf(ip.is4());
  bool usable = range != nullptr && range->contains(ip) && ip != range->network &&
                !(range->is4() && ip == offsetIp(*range, hostCount(*range) - 1));
  if (!usable) return std::string(kOtherNetwork);
  if ((options_.isReserved && options_.isReserved(ip)) || !ips_.insert(ip).second) return std::string(kIpTaken);
  return {};
}

std::string ServiceAllocator::takeNextIp(const Cidr& range, Ip& out) {
  // The lower part is left to those who ask for an address of their own (KEP-3070).
  uint64_t count = hostCount(range);
  uint64_t last = count - (range.is4() ? 2 : 1);
  uint64_t reserved = count < 128 ? 0 : std::clamp<uint64_t>(count / 16, 16, 256);
  auto search = [&](uint64_t low, uint64_t high) {
    if (low > high) return false;
    uint64_t n = high - low + 1;
    uint64_t start = random_() % n;
    for (uint64_t i = 0; i < n; i++) {
      Ip ip = offsetIp(range, low + (start + i) % n);
      if ((options_.isReserved && options_.isReserved(ip)) || !ips_.insert(ip).second) continue;
      out = ip;
      return true;
    }
    return false;
  };
  if (search(1 + reserved, last) || search(1, std::min(reserved, last))) return {};
  return "range is full";
}

std::string ServiceAllocator::takePort(int port) {
  if (port < options_.firstPort || port > options_.lastPort) {
    return fmt::format("provided port is not in the valid range. The range of valid ports is {}-{}", options_.firstPort,
                       options_.lastPort);
  }
  if ((options_.isPortReserved && options_.isPortReserved(port)) || !ports_.insert(port).second)
    return std::string(kPortTaken);
  return {};
}

std::string ServiceAllocator::takeNextPort(int& out) {
  int count = options_.lastPort - options_.firstPort + 1;
  int reserved = count < 32 ? 0 : std::clamp(count / 32, 16, 128);
  auto search = [&](int low, int high) {
    if (low > high) return false;
    int n = high - low + 1;
    int start = static_cast<int>(random_() % static_cast<uint64_t>(n));
    for (int i = 0; i < n; i++) {
      int port = low + (start + i) % n;
      if ((options_.isPortReserved && options_.isPortReserved(port)) || !ports_.insert(port).second) continue;
      out = port;
      return true;
    }
    return false;
  };
  int first = options_.firstPort;
  if (search(first + reserved, options_.lastPort) || search(first, first + reserved - 1)) return {};
  return "range is full";
}

Status ServiceAllocator::Work::families(Service& s, const Service* old) {
  if (!needsClusterIp(s)) return {};
  auto& spec = s.spec;
  bool lonely = spec.clusterIP == "None" && spec.selector.empty();
  if (!spec.ipFamilyPolicy) {
    if (old != nullptr && old->spec.ipFamilyPolicy) {
      spec.ipFamilyPolicy = old->spec.ipFamilyPolicy;
    } else {
      spec.ipFamilyPolicy = lonely ? "RequireDualStack" : "SingleStack";
    }
  }
  FieldErrors bad;
  validateClusterIpFields(s, old, bad);
  if (!bad.empty()) return invalid(bad, s);
  Path policy("spec.ipFamilyPolicy");
  BadValue shown = spec.ipFamilyPolicy->view();
  if (old != nullptr && isSingle(s)) {
    if (old->spec.clusterIPs == spec.clusterIPs && spec.clusterIPs.size() > 1) spec.clusterIPs.erase(1, spec.clusterIPs.size() - 1);
    if (old->spec.ipFamilies == spec.ipFamilies && spec.ipFamilies.size() > 1) spec.ipFamilies.erase(1, spec.ipFamilies.size() - 1);
  }
  if (isSingle(s)) {
    constexpr std::string_view kMust = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified";
    if (spec.clusterIPs.size() == 2) bad.invalid(policy, shown, fmt::format(fmt::runtime(kMust), "cluster IPs"));
    if (spec.ipFamilies.size() == 2) bad.invalid(policy, shown, fmt::format(fmt::runtime(kMust), "IP families"));
  }
  for (size_t i = 0; i < spec.clusterIPs.size() && spec.clusterIPs[i] != "None"; i++) {
    if (i < spec.ipFamilies.size()) continue;
    bool four = Ip::parseSloppy(spec.clusterIPs[i]).value_or(Ip{}).is4();
    if (a.rangeOf(four) == nullptr) {
      bad.invalid(Path("spec.clusterIPs").index(i), listValue(spec.clusterIPs),
                  fmt::format("{} is not configured on this cluster", familyName(four)));
    } else {
      spec.ipFamilies.push_back(familyName(four));
    }
  }
  if (!bad.empty()) return invalid(bad, s);
  std::string_view first = familyName(a.options_.ranges.empty() || a.options_.ranges[0].is4());
  auto both = [&] { spec.ipFamilies.push_back(spec.ipFamilies[0] == "IPv4" ? "IPv6" : "IPv4"); };
  if (lonely) {
    // Without selector nobody gives it endpoints but its owner, of whatever family.
    if (spec.ipFamilies.empty()) spec.ipFamilies.push_back(first);
    if (spec.ipFamilies.size() < 2 && !isSingle(s)) both();
    return {};
  }
  bool dual = a.options_.ranges.size() == 2;
  if (*spec.ipFamilyPolicy == "RequireDualStack" && !dual) {
    bad.invalid(policy, shown, "this cluster is not configured for dual-stack services");
  }
  for (size_t i = 0; i < spec.ipFamilies.size(); i++) {
    if (a.rangeOf(spec.ipFamilies[i] == "IPv4") == nullptr) {
      bad.invalid(Path("spec.ipFamilies").index(i), spec.ipFamilies[i].view(), "not configured on this cluster");
    }
  }
  if (!bad.empty()) return invalid(bad, s);
  if (spec.ipFamilies.empty()) spec.ipFamilies.push_back(first);
  if (!isSingle(s) && spec.ipFamilies.size() == 1 && dual) both();
  return {};
}

// Addresses of the families from the given one on.
Status ServiceAllocator::Work::addresses(Service& s, size_t from) {
  auto& spec = s.spec;
  for (size_t i = from; i < spec.ipFamilies.size(); i++) {
    Ip ip;
    std::string error;
    std::string shown;
    if (i < spec.clusterIPs.size()) {
      shown = spec.clusterIPs[i].str();
      ip = Ip::parseSloppy(shown).value_or(Ip{});
      error = a.takeIp(ip);
    } else {
      const Cidr* range = a.rangeOf(spec.ipFamilies[i] == "IPv4");
      if (range == nullptr) continue;
      error = a.takeNextIp(*range, ip);
      if (!error.empty()) return errors::internal(fmt::format("failed to allocate a serviceIP: {}", error));
      spec.clusterIPs.push_back(ip.str());
    }
    if (!error.empty()) {
      FieldErrors bad;
      codec::List<codec::String> one = {codec::String(shown)};
      bad.invalid(Path("spec.clusterIPs"), listValue(one), fmt::format("failed to allocate IP {}: {}", shown, error));
      return invalid(bad, s);
    }
    change.ips.push_back(ip);
  }
  if (!spec.clusterIPs.empty()) spec.clusterIP = spec.clusterIPs[0];
  return {};
}

Status ServiceAllocator::Work::nodePorts(Service& s, const Service* old) {
  auto& ports = s.spec.ports;
  auto had = [&](int number) {
    return old != nullptr && needsNodePort(*old) &&
           std::any_of(old->spec.ports.begin(), old->spec.ports.end(), [&](const v1::ServicePort& p) { return p.nodePort == number; });
  };
  // One port in two protocols has one node port.
  std::map<int, int> byPort;
  std::set<int> taken;
  for (size_t i = 0; i < ports.size(); i++) {
    auto& p = ports[i];
    if (p.nodePort == 0 && !wantsNodePorts(s)) continue;
    int wanted = p.nodePort;
    bool fresh = old == nullptr;
    if (fresh && wanted == 0 && byPort.count(p.port)) {
      p.nodePort = byPort[p.port];
      continue;
    }
    for (size_t k = 0; fresh && wanted == 0 && k < ports.size(); k++) {
      if (ports[k].port == p.port && ports[k].nodePort != 0) wanted = ports[k].nodePort;
    }
    std::string error;
    if (wanted == 0) {
      error = nextPort(wanted);
      if (!error.empty()) return errors::internal(fmt::format("failed to allocate a nodePort: {}", error));
    } else if (!had(wanted) && !taken.count(wanted)) {
      error = port(wanted);
    } else if (fresh && byPort.count(p.port) == 0) {
      error = std::string(kPortTaken);  // another port of this very service has it
    }
    if (!error.empty()) {
      FieldErrors bad;
      bad.invalid(Path("spec.ports").index(i).child("nodePort"), wanted, error);
      return invalid(bad, s);
    }
    p.nodePort = wanted;
    for (size_t k = 0; k < i && !fresh; k++) {
      if (ports[k].nodePort == wanted && ports[k].protocol == p.protocol) {
        return Status(500, "", fmt::format("duplicate nodePort: {{{} {}}}", p.protocol, wanted));
      }
    }
    taken.insert(wanted);
    byPort.emplace(p.port, wanted);
  }
  return {};
}

Status ServiceAllocator::Work::healthPort(Service& s) {
  int number = s.spec.healthCheckNodePort;
  std::string error = number != 0 ? port(number) : nextPort(number);
  if (error.empty()) {
    s.spec.healthCheckNodePort = number;
    return {};
  }
  if (s.spec.healthCheckNodePort == 0) return errors::internal(fmt::format("failed to allocate a HealthCheck NodePort 0: {}", error));
  return errors::internal(fmt::format("failed to allocate requested HealthCheck NodePort {}: {}", number, error));
}

Result<ServiceAllocator::Change> ServiceAllocator::beginCreate(api::Object& o) {
  std::lock_guard lock(mutex_);
  auto& s = o.as<Service>();
  Work work{*this, {}};
  normalize(s, nullptr);
  KM_TRY(work.families(s, nullptr));
  if (hasAddresses(s)) KM_TRY(work.addresses(s, 0));
  if (needsNodePort(s)) KM_TRY(work.nodePorts(s, nullptr));
  if (needsHealthCheckPort(s)) KM_TRY(work.healthPort(s));
  work.done = true;
  return std::move(work.change);
}

Result<ServiceAllocator::Change> ServiceAllocator::beginUpdate(api::Object& o, const api::Object& oldObject) {
  std::lock_guard lock(mutex_);
  auto& s = o.as<Service>();
  const auto& old = oldObject.as<Service>();
  Work work{*this, {}};
  normalize(s, &old);
  keepAllocated(s, old);
  KM_TRY(work.families(s, &old));
  size_t kept = hasAddresses(old) ? old.spec.clusterIPs.size() : 0;
  if (hasAddresses(s)) KM_TRY(work.addresses(s, std::min(kept, s.spec.ipFamilies.size())));
  // Addresses of a family that the service no longer has, or of all where it has become an external name.
  size_t stays = hasAddresses(s) ? s.spec.clusterIPs.size() : 0;
  for (size_t i = stays; i < kept; i++) {
    if (auto ip = Ip::parseSloppy(old.spec.clusterIPs[i])) work.change.freedIps.push_back(*ip);
  }
  if (needsNodePort(s)) KM_TRY(work.nodePorts(s, &old));
  if (needsHealthCheckPort(s) && !needsHealthCheckPort(old)) KM_TRY(work.healthPort(s));
  if (needsNodePort(old)) {
    for (const auto& p : old.spec.ports) {
      bool still = needsNodePort(s) && std::any_of(s.spec.ports.begin(), s.spec.ports.end(),
                                                   [&](const v1::ServicePort& n) { return n.nodePort == p.nodePort; });
      if (p.nodePort != 0 && !still) work.change.freedPorts.push_back(p.nodePort);
    }
  }
  if (needsHealthCheckPort(old) && !needsHealthCheckPort(s) && old.spec.healthCheckNodePort != 0) {
    work.change.freedPorts.push_back(old.spec.healthCheckNodePort);
  }
  work.done = true;
  return std::move(work.change);
}

void ServiceAllocator::commit(const Change& change) {
  std::lock_guard lock(mutex_);
  for (const Ip& ip : change.freedIps) ips_.erase(ip);
  for (int port : change.freedPorts) ports_.erase(port);
  if (!options_.keptElsewhere) return;
  for (const Ip& ip : change.ips) ips_.erase(ip);
  for (int port : change.ports) ports_.erase(port);
}

void ServiceAllocator::revert(const Change& change) {
  std::lock_guard lock(mutex_);
  for (const Ip& ip : change.ips) ips_.erase(ip);
  for (int port : change.ports) ports_.erase(port);
}

void ServiceAllocator::release(const api::Object& o) {
  if (options_.keptElsewhere) return;
  std::lock_guard lock(mutex_);
  const auto& s = o.as<Service>();
  if (hasAddresses(s)) {
    for (const auto& text : s.spec.clusterIPs) {
      if (auto ip = Ip::parseSloppy(text)) ips_.erase(*ip);
    }
  }
  for (const auto& p : s.spec.ports) ports_.erase(p.nodePort);
  ports_.erase(s.spec.healthCheckNodePort);
}

bool ServiceAllocator::isTaken(const Ip& ip) const {
  std::lock_guard lock(mutex_);
  return ips_.count(ip) != 0;
}
bool ServiceAllocator::isTaken(int port) const {
  std::lock_guard lock(mutex_);
  return ports_.count(port) != 0;
}

}  // namespace km::registry
