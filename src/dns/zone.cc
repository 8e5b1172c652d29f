#include "dns/zone.h"

#include <arpa/inet.h>

#include <algorithm>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "base/strings.h"

namespace km::dns {
namespace {

using api::core_v1::Service;
using api::discovery_v1::EndpointSlice;
using ServicePtr = std::shared_ptr<const Service>;
using SlicePtr = std::shared_ptr<const EndpointSlice>;

constexpr uint32_t kTtl = 5;  // CoreDNS's
constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";

std::string dashed(std::string_view address) {
  std::string out(address);
  std::replace_if(out.begin(), out.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  return out;
}

std::string endpointName(const api::discovery_v1::Endpoint& e) {
  return e.hostname && !e.hostname->empty() ? toLower(*e.hostname) : dashed(e.addresses[0]);
}

bool isReady(const api::discovery_v1::Endpoint& e) { return !e.addresses.empty() && e.conditions.ready.value_or(true); }

uint16_t typeOf(std::string_view address) { return contains(address, ":") ? kAaaa : kA; }

std::vector<std::string> serviceAddresses(const Service& s) {
  std::vector<std::string> out;
  for (const auto& a : s.spec.clusterIPs) out.push_back(a.str());
  if (out.empty() && !s.spec.clusterIP.empty()) out.push_back(s.spec.clusterIP.str());
  std::erase_if(out, [](const std::string& a) { return a == "None" || a.empty(); });
  return out;
}

std::string canonical(const char* bytes, int family) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family, bytes, text, sizeof text);
}

// The address of "4.3.2.1.in-addr.arpa" and of the nibbles of ip6.arpa; "" if the name is none.
std::string reversedAddress(const std::string& name) {
  char bytes[16] = {};
  if (name.ends_with(".in-addr.arpa")) {
    auto labels = split(std::string_view(name).substr(0, name.size() - 13), '.');
    if (labels.size() != 4) return {};
    for (size_t i = 0; i < 4; ++i) {
      auto n = parseUint64(labels[3 - i]);
      if (!n || *n > 255) return {};
      bytes[i] = static_cast<char>(*n);
    }
    return canonical(bytes, AF_INET);
  }
  if (!name.ends_with(".ip6.arpa")) return {};
  auto labels = split(std::string_view(name).substr(0, name.size() - 9), '.');
  if (labels.size() != 32) return {};
  for (size_t i = 0; i < 32; ++i) {
    size_t digit = labels[31 - i].size() == 1 ? std::string_view("0123456789abcdef").find(labels[31 - i]) : std::string::npos;
    if (digit == std::string::npos) return {};
    bytes[i / 2] = static_cast<char>(bytes[i / 2] << 4 | static_cast<char>(digit));
  }
  return canonical(bytes, AF_INET6);
}

}  // namespace

struct Zone::Query {
  const Question& question;
  std::string name;  // lower case
  std::vector<std::string_view> labels;  // below the domain, the last first
  Answer answer;
  bool exists = false;

  bool wants(uint16_t type) const { return question.type == type || question.type == kAny; }
  void add(uint16_t type, std::string data) { answer.answers.push_back({question.name, type, kTtl, std::move(data)}); }
  void address(std::string_view a) {
    uint16_t type = typeOf(a);
    if (wants(type)) add(type, addressData(a, type));
  }
  void srv(uint16_t port, const std::string& target, std::string_view a) {
    Record r{question.name, kSrv, kTtl, srvData(0, 100, port, target)};
    auto same = [&](const Record& o) { return o.data == r.data; };
    if (std::none_of(answer.answers.begin(), answer.answers.end(), same)) answer.answers.push_back(std::move(r));
    Record extra{target, typeOf(a), kTtl, addressData(a, typeOf(a))};
    auto known = [&](const Record& o) { return o.name == extra.name && o.data == extra.data; };
    if (std::none_of(answer.additional.begin(), answer.additional.end(), known)) answer.additional.push_back(std::move(extra));
  }
};

Zone::Zone(std::string domain, client::SharedInformer& services, client::SharedInformer& slices)
    : domain_(toLower(domain)), services_(services), slices_(slices) {
  services.addIndex(kByAddress, [](const client::Object& o) { return serviceAddresses(o.as<Service>()); });
  slices.addIndex(kByService, [](const client::Object& o) {
    const auto& meta = o.meta();
    const codec::String* name = meta.labels.find(kServiceLabel);
    return name == nullptr ? std::vector<std::string>{} : std::vector{meta.namespace_.str() + "/" + name->str()};
  });
  slices.addIndex(kByAddress, [](const client::Object& o) {
    std::vector<std::string> out;
    for (const auto& e : o.as<EndpointSlice>().endpoints) {
      if (isReady(e)) out.push_back(e.addresses[0].str());
    }
    return out;
  });
}

void Zone::service(Query& q, std::string_view ns, std::string_view name, std::vector<std::string_view> rest) const {
  ServicePtr s = client::Lister<Service>(services_).get(ns, name);
  if (s == nullptr) return;
  std::string base = std::string(name) + "." + std::string(ns) + ".svc." + domain_;
  if (s->spec.type == "ExternalName") {
    if (!rest.empty()) return;
    q.exists = true;
    std::string target = s->spec.externalName.str();
    if (target.ends_with('.')) target.pop_back();
    if (q.wants(kCname) || q.wants(kA) || q.wants(kAaaa)) q.add(kCname, wireName(target));
    return;
  }
  bool srvName = rest.size() == 2 && rest[0].starts_with('_') && rest[1].starts_with('_');  // protocol, then port
  std::string_view protocol = srvName ? rest[0].substr(1) : "", port = srvName ? rest[1].substr(1) : "";
  auto matches = [&](std::string_view portName, std::string_view portProtocol) {
    return !srvName || (equalFold(portName, port) && equalFold(portProtocol, protocol));
  };
  if (s->spec.clusterIP != "None") {
    if (!rest.empty() && !srvName) return;
    for (const std::string& a : serviceAddresses(*s)) {
      for (const auto& p : s->spec.ports) {
        if (!matches(p.name, p.protocol.empty() ? "TCP" : p.protocol.view())) continue;
        q.exists = true;
        if (q.wants(kSrv)) q.srv(static_cast<uint16_t>(p.port), base, a);
      }
      if (!srvName) q.exists = true, q.address(a);
    }
    return;
  }
  if (rest.empty()) q.exists = true;
  if (rest.size() > 1 && !srvName) return;
  std::set<std::string> seen;
  for (const SlicePtr& slice : client::Lister<EndpointSlice>(slices_).byIndex(kByService, std::string(ns) + "/" + std::string(name))) {
    if (slice->addressType == "FQDN") continue;
    for (const auto& e : slice->endpoints) {
      if (!isReady(e)) continue;
      std::string host = endpointName(e);
      if (rest.size() == 1 && rest[0] != host) continue;
      if (!srvName) {
        q.exists = true;
        if (seen.insert(e.addresses[0].str()).second) q.address(e.addresses[0]);
      }
      if (rest.size() == 1) continue;
      for (const auto& p : slice->ports) {
        if (!p.port || !matches(p.name ? p.name->view() : "", p.protocol ? p.protocol->view() : "TCP")) continue;
        q.exists = true;
        if (q.wants(kSrv)) q.srv(static_cast<uint16_t>(*p.port), host + "." + base, e.addresses[0]);
      }
    }
  }
}

void Zone::resolve(Query& q) const {
  auto& l = q.labels;
  if (l.empty()) {
    q.exists = true;
    return;
  }
  if (l[0] == "dns-version" && l.size() == 1) {
    q.exists = true;
    if (q.wants(kTxt)) q.add(kTxt, txtData("1.1.0"));
  } else if (l[0] == "svc") {
    if (l.size() == 1) {
      q.exists = true;
    } else if (l.size() == 2) {
      q.exists = !services_.store().byIndex(client::kNamespaceIndex, l[1]).empty();
    } else {
      service(q, l[1], l[2], std::vector<std::string_view>(l.begin() + 3, l.end()));
    }
  } else if (l[0] == "pod") {
    if (l.size() < 3) {
      q.exists = true;
    } else if (l.size() == 3) {
      std::string address(l[2]);
      std::replace(address.begin(), address.end(), '-', '.');
      if (addressData(address, kA).empty()) {
        address = l[2];
        std::replace(address.begin(), address.end(), '-', ':');
        if (addressData(address, kAaaa).empty()) return;
      }
      q.exists = true;
      q.address(address);
    }
  }
}

std::optional<Answer> Zone::reverse(const Question& question, uint32_t now) const {
  std::string address = reversedAddress(toLower(question.name));
  if (address.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const ServicePtr& s : client::Lister<Service>(services_).byIndex(kByAddress, address)) {
    names.push_back(s->metadata.name.str() + "." + s->metadata.namespace_.str() + ".svc." + domain_);
  }
  for (const SlicePtr& slice : client::Lister<EndpointSlice>(slices_).byIndex(kByAddress, address)) {
    const codec::String* name = slice->metadata.labels.find(kServiceLabel);
    if (name == nullptr) continue;
    ServicePtr s = client::Lister<Service>(services_).get(slice->metadata.namespace_, *name);
    if (s == nullptr || s->spec.clusterIP != "None") continue;
    for (const auto& e : slice->endpoints) {
      if (!isReady(e) || e.addresses[0] != address) continue;
      names.push_back(endpointName(e) + "." + name->str() + "." + slice->metadata.namespace_.str() + ".svc." + domain_);
    }
  }
  if (names.empty()) return std::nullopt;
  Answer out;
  out.authoritative = true;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& n : names) {
    if (question.type == kPtr || question.type == kAny) out.answers.push_back({question.name, kPtr, kTtl, wireName(n)});
  }
  return out;
}

std::optional<Answer> Zone::answer(const Question& question, uint32_t now) const {
  std::string name = toLower(question.name);
  if (name != domain_ && !name.ends_with("." + domain_)) return reverse(question, now);
  Query q{question, name, {}, {}, false};
  if (name.size() > domain_.size()) {
    q.labels = split(std::string_view(q.name).substr(0, name.size() - domain_.size() - 1), '.');
    std::reverse(q.labels.begin(), q.labels.end());
  }
  resolve(q);
  q.answer.authoritative = true;
  std::string soa = soaData("ns.dns." + domain_, "hostmaster." + domain_, now, kTtl);
  if (q.labels.empty() && q.wants(kSoa)) q.add(kSoa, soa);
  if (q.labels.empty() && q.wants(kNs)) q.add(kNs, wireName("ns.dns." + domain_));
  if (!q.exists) q.answer.rcode = kNxDomain;
  if (q.answer.answers.empty()) q.answer.authority.push_back({domain_, kSoa, kTtl, soa});
  return std::move(q.answer);
}

}  // namespace km::dns
