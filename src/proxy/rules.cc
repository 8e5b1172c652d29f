#include "proxy/rules.h"

#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "base/fnv.h"
#include "base/strings.h"
#include "proxy/frontends.h"

namespace km::proxy {
namespace {

// The mark of a connection that leaves with this node's address; upstream's bit.
constexpr std::string_view kMark = "0x4000";

// How a frontend's connections are masqueraded.
enum class Masquerade { kNever, kFromOutside, kAlways };

class Maker {
 public:
  Maker(const RuleOptions& options, Family family) : options_(options), v4_(family == Family::kIpv4), family_(family) {
    for (const std::string& cidr : options.clusterCidrs) {
      if ((cidr.find(':') == std::string::npos) != v4_) continue;
      cidrs_ += (cidrs_.empty() ? "" : ", ") + cidr;
    }
  }

  Table make(const Snapshot& snapshot) {
    auto ports = servicePorts(snapshot, options_, family_);
    declareSets();
    for (const auto& p : ports) addPort(p);
    if (!ports.empty() || v4_) addBaseChains();
    else table_ = {};
    return std::move(table_);
  }

 private:
  std::string ip() const { return v4_ ? "ip" : "ip6"; }
  std::string addrType() const { return v4_ ? "ipv4_addr" : "ipv6_addr"; }

  void set(const std::string& name, std::string declaration, bool map) {
    table_.sets[name] = {.declaration = std::move(declaration), .isMap = map, .elements = {}};
  }

  void declareSets() {
    std::string a = addrType(), key = a + " . inet_proto . inet_service", nodeKey = "inet_proto . inet_service";
    for (const char* name : {"services", "services-from-pods", "no-endpoints"}) set(name, "type " + key + " : verdict;", true);
    for (const char* name : {"nodeports", "nodeports-from-pods", "no-endpoints-nodeports"}) {
      set(name, "type " + nodeKey + " : verdict;", true);
    }
    // One map a protocol: nft takes the transport header of a map's declaration for a condition on the packet.
    for (const char* protocol : kProtocols) {
      std::string port = fmt::format("{} dport", protocol);
      std::string to = fmt::format(" : {} daddr . {};", ip(), port);
      std::string pick = fmt::format("meta l4proto . {} . numgen random mod 4", port);
      for (const char* name : {"endpoints", "endpoints-from-pods"}) {
        set(mapOf(name, protocol), fmt::format("typeof {} daddr . {}{}", ip(), pick, to), true);
        set(mapOf(std::string("node-") + name, protocol), fmt::format("typeof {}{}", pick, to), true);
      }
    }
    set("cluster-ips", "type " + a + ";", false);
    set("hairpins", "type " + a + " . " + a + ";", false);
    set("local-endpoints", "type " + a + ";", false);
    if (!options_.nodeIps.empty()) {
      set("node-ips", "type " + a + ";", false);
      for (const auto& address : options_.nodeIps) {
        if (isOfFamily(address, family_)) put("node-ips", address, "");
      }
    }
  }

  void put(const std::string& set, const std::string& key, std::string value) {
    table_.sets[set].elements.emplace(key, std::move(value));  // the first service that claims an address has it
  }

  std::vector<std::string> masqueradeRules(Masquerade m) const {
    std::string mark = fmt::format("meta mark set meta mark or {}", kMark);
    if (m == Masquerade::kAlways || (m == Masquerade::kFromOutside && options_.masqueradeAll)) return {mark};
    if (m == Masquerade::kFromOutside && !cidrs_.empty()) return {ip() + " saddr != { " + cidrs_ + " } " + mark};
    return {};
  }

  static char letter(Masquerade m) { return m == Masquerade::kNever ? 'n' : m == Masquerade::kAlways ? 'a' : 'o'; }

  static constexpr const char* kProtocols[] = {"tcp", "udp", "sctp"};
  static std::string mapOf(const std::string& name, const std::string& protocol) {
    return protocol == "tcp" ? name : name + "-" + protocol;
  }

  // The chain that picks one of `count` endpoints out of `map`.
  std::string pickChain(const std::string& map, const std::string& protocol, size_t count, Masquerade m) {
    std::string name = fmt::format("{}-{}-{}", map, letter(m), count);
    Chain& chain = table_.chains[name];
    if (!chain.rules.empty()) return name;
    chain.rules = masqueradeRules(m);
    std::string frontend = map.starts_with("node-") ? "" : ip() + " daddr . ";
    chain.rules.push_back(fmt::format("dnat {} to {}meta l4proto . {} dport . numgen random mod {} map @{}", ip(), frontend,
                                      protocol, count, map));
    return name;
  }

  // The chain of a service with client affinity: the endpoint a client had before, else a random one.
  std::string affinityChain(const ServicePortView& p, const std::vector<Target>& targets, Masquerade m) {
    std::string list = p.name + p.protocol;
    for (const Target& t : targets) list += fmt::format(" {}:{}", t.ip, t.port);
    std::string name = fmt::format("affinity-{:016x}-{}", fnv1a64(list), letter(m));
    Chain chain{.hook = {}, .rules = masqueradeRules(m)};
    std::string choices;
    for (size_t i = 0; i < targets.size(); ++i) {
      const Target& t = targets[i];
      std::string id = fmt::format("{:016x}", fnv1a64(fmt::format("{}{}|{}:{}", p.name, p.protocol, t.ip, t.port)));
      std::string seen = "seen-" + id, to = "to-" + id;
      set(seen, fmt::format("type {}; flags dynamic,timeout; timeout {}s;", addrType(), p.affinitySeconds), false);
      std::string where = v4_ ? t.ip : "[" + t.ip + "]";
      table_.chains[to].rules = {fmt::format("update @{} {{ {} saddr }}", seen, ip()),
                                 fmt::format("meta l4proto {} dnat to {}:{}", p.protocol, where, t.port)};
      chain.rules.push_back(fmt::format("{} saddr @{} goto {}", ip(), seen, to));
      choices += fmt::format("{}{} : goto {}", i ? ", " : "", i, to);
    }
    chain.rules.push_back(fmt::format("numgen random mod {} vmap {{ {} }}", targets.size(), choices));
    table_.chains[name] = std::move(chain);
    return name;
  }

  std::string targetChain(const ServicePortView& p, const std::string& frontend, const std::string& map,
                          const std::vector<Target>& targets, Masquerade m) {
    if (p.affinitySeconds > 0) return affinityChain(p, targets, m);
    std::string mine = mapOf(map, p.protocol);
    for (size_t i = 0; i < targets.size(); ++i) {
      put(mine, fmt::format("{} . {}", frontend, i), fmt::format("{} . {}", targets[i].ip, targets[i].port));
    }
    return pickChain(mine, p.protocol, targets.size(), m);
  }

  void addFrontend(const ServicePortView& p, const std::string& key, bool node, bool localOnly, Masquerade m) {
    std::string prefix = node ? "node-" : "", verdicts = node ? "nodeports" : "services";
    std::string none = node ? "no-endpoints-nodeports" : "no-endpoints";
    if (table_.sets[verdicts].elements.count(key) || table_.sets[none].elements.count(key)) return;
    const auto& targets = localOnly ? p.local : p.all;
    if (p.all.empty()) {
      put(none, key, "goto reject-all");
      return;
    }
    // Local policy: a client keeps its address; nodes without endpoints are silent, so that balancers avoid them.
    bool external = m != Masquerade::kFromOutside;
    if (localOnly && external) {
      put(verdicts + "-from-pods", key,
          "goto " + targetChain(p, key, prefix + "endpoints-from-pods", p.all, Masquerade::kNever));
    }
    if (targets.empty()) {
      put(none, key, "goto drop-all");
    } else {
      put(verdicts, key, "goto " + targetChain(p, key, prefix + "endpoints", targets, localOnly && external ? Masquerade::kNever : m));
    }
  }

  void addPort(const ServicePortView& p) {
    for (const auto& address : p.clusterIps) {
      put("cluster-ips", address, "");
      addFrontend(p, fmt::format("{} . {} . {}", address, p.protocol, p.port), false, p.internalLocal, Masquerade::kFromOutside);
    }
    for (const auto* list : {&p.externalIps, &p.loadBalancerIps}) {
      for (const auto& address : *list) {
        addFrontend(p, fmt::format("{} . {} . {}", address, p.protocol, p.port), false, p.externalLocal, Masquerade::kAlways);
      }
    }
    if (p.nodePort > 0 && !p.clusterIps.empty()) {
      addFrontend(p, fmt::format("{} . {}", p.protocol, p.nodePort), true, p.externalLocal, Masquerade::kAlways);
    }
    for (const Target& t : p.all) {
      if (!t.local) continue;
      put("hairpins", t.ip + " . " + t.ip, "");
      put("local-endpoints", t.ip, "");
    }
  }

  void addBaseChains() {
    std::string a = ip(), frontend = a + " daddr . meta l4proto . th dport vmap @";
    std::string toNode = options_.nodeIps.empty()
                             ? "fib daddr type local " + a + " daddr != " + (v4_ ? "127.0.0.0/8" : "::1")
                             : a + " daddr @node-ips";
    std::string nodePort = toNode + " meta l4proto . th dport vmap @";
    std::string fromPods = cidrs_.empty() ? "" : a + " saddr { " + cidrs_ + " } ";
    table_.chains["reject-all"].rules = {"reject"};
    table_.chains["drop-all"].rules = {"drop"};
    std::vector<std::string> dispatch;
    if (!fromPods.empty()) {
      dispatch.push_back(fromPods + frontend + "services-from-pods");
      dispatch.push_back(fromPods + nodePort + "nodeports-from-pods");
    }
    dispatch.push_back(frontend + "services");
    dispatch.push_back(nodePort + "nodeports");
    table_.chains["dispatch"].rules = dispatch;
    // Only new connections come here: for the others conntrack remembers the answer.
    table_.chains["nat-prerouting"] = {"type nat hook prerouting priority -100;", {"jump dispatch"}};
    table_.chains["nat-output"] = {"type nat hook output priority -100;", {"jump dispatch"}};
    Chain post{"type nat hook postrouting priority 100;", {}};
    post.rules.push_back(fmt::format(
        "meta mark & {0} == {0} meta mark set meta mark xor {0} masquerade fully-random", kMark));
    post.rules.push_back("ct status dnat " + a + " saddr . " + a + " daddr @hairpins masquerade fully-random");
    if (options_.masqueradeLocal && !fromPods.empty()) {
      post.rules.push_back("ct status dnat " + fromPods + a + " daddr @local-endpoints masquerade fully-random");
    }
    if (options_.masqueradePods && !cidrs_.empty()) {
      post.rules.push_back(fmt::format("{0} saddr {{ {1} }} {0} daddr != {{ {1}, {2} }} masquerade fully-random", ip(), cidrs_,
                                       a.starts_with("ip6") ? "ff00::/8" : "224.0.0.0/4"));
    }
    table_.chains["nat-postrouting"] = std::move(post);
    std::vector<std::string> check;
    check.push_back("ct state new " + frontend + "no-endpoints");
    check.push_back("ct state new " + nodePort + "no-endpoints-nodeports");
    for (const char* hook : {"input", "forward", "output"}) {
      table_.chains[std::string("filter-") + hook] = {fmt::format("type filter hook {} priority -110;", hook), check};
    }
    // What still goes to a cluster IP after translation has no such port.
    std::string unknown = "ct state new " + a + " daddr @cluster-ips reject";
    table_.chains["filter-forward"].rules.push_back(unknown);
    table_.chains["filter-output-translated"] = {"type filter hook output priority -90;", {unknown}};
  }

  const RuleOptions& options_;
  bool v4_;
  Family family_;
  std::string cidrs_;
  Table table_;
};

}  // namespace

Table makeTable(const Snapshot& snapshot, const RuleOptions& options, Family family) {
  return Maker(options, family).make(snapshot);
}

}  // namespace km::proxy
