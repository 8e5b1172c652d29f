#include "apiserver/service_addresses.h"

#include <algorithm>
#include <future>

#include "api/types/core_v1.h"
#include "api/types/networking_v1.h"
#include "base/log.h"
#include "registry/registry.h"

namespace km::apiserver {

using api::core_v1::Service;
using api::networking_v1::IPAddress;

namespace {

constexpr std::string_view kFamily = "ipaddress.kubernetes.io/ip-family", kManagedBy = "ipaddress.kubernetes.io/managed-by";
constexpr int64_t kYoungSeconds = 60;
constexpr std::string_view kAllocator = "ipallocator.k8s.io", kGroup = "networking.k8s.io", kResource = "ipaddresses";

std::vector<std::string> addressesOf(const api::Object& service) {
  std::vector<std::string> out;
  for (const auto& ip : service.as<Service>().spec.clusterIPs) {
    if (!ip.empty() && ip != "None") out.push_back(ip.str());
  }
  return out;
}

bool has(const std::vector<std::string>& list, const std::string& value) { return std::find(list.begin(), list.end(), value) != list.end(); }

api::MutableObject makeAddress(const std::string& ip, std::string_view ns, std::string_view name) {
  IPAddress a;
  a.metadata.name = ip;
  a.metadata.labels[kFamily] = ip.find(':') == std::string::npos ? "IPv4" : "IPv6";
  a.metadata.labels[kManagedBy] = kAllocator;
  auto& parent = a.spec.parentRef.ensure();
  parent.resource = "services";
  parent.namespace_ = ns;
  parent.name = name;
  return api::Object::of(std::move(a));
}

// The addresses of the service that the other one has not.
std::vector<std::string> beyond(const api::Object& service, const api::Object* other) {
  std::vector<std::string> out = addressesOf(service);
  if (other != nullptr) std::erase_if(out, [had = addressesOf(*other)](const std::string& ip) { return has(had, ip); });
  return out;
}

bool isOurs(const api::Object& address) {
  const auto* by = address.meta().labels.find(kManagedBy);
  return by != nullptr && *by == kAllocator;
}

}  // namespace

CallPtr ServiceAddresses::callFor(std::string_view group, std::string_view resource, std::string_view verb, std::string name) const {
  auto call = std::make_shared<Call>();
  call->served = operations_.resources().find(group, "v1", resource);
  call->verb = verb;
  call->name = std::move(name);
  call->user.name = "system:apiserver";
  call->user.groups = {"system:masters", "system:authenticated"};
  call->fieldManager = "kube-apiserver";
  return call;
}

bool ServiceAddresses::owns(const Owner& owner, const std::string& ip) const {
  auto address = operations_.resources().registry(kGroup, kResource)->cache().get("", ip);
  if (!address || !isOurs(*address)) return false;
  const auto& parent = address->as<IPAddress>().spec.parentRef;
  return parent && parent->namespace_ == owner.ns && parent->name == owner.name;
}

bool ServiceAddresses::isTaken(const registry::Ip& ip) const {
  return operations_.resources().registry(kGroup, kResource)->cache().get("", ip.str()) != nullptr;
}

void ServiceAddresses::repair() {
  // One after the other: mostly there is nothing to do.
  auto wait = [](const std::function<void(std::function<void()>)>& start) {
    std::promise<void> done;
    start([&] { done.set_value(); });
    done.get_future().wait();
  };
  const auto& services = operations_.resources().registry("", "services")->cache();
  auto allServices = services.list();
  for (const auto& s : *allServices.objects) {
    Owner owner{std::string(s->ns()), std::string(s->name())};
    for (const std::string& ip : addressesOf(*s)) {
      if (operations_.resources().registry(kGroup, kResource)->cache().get("", ip)) continue;
      wait([&](auto done) { create(owner, {ip}, [done](Status) { done(); }); });
    }
  }
  auto addresses = operations_.resources().registry(kGroup, kResource)->cache().list();  // of now: it is changed below
  for (const auto& a : *addresses.objects) {
    const auto& parent = a->as<IPAddress>().spec.parentRef;
    if (!isOurs(*a) || !parent) continue;
    Owner owner{parent->namespace_.str(), parent->name.str()};
    // One that is young may belong to a service that another server is about to store.
    if (operations_.clock().now().seconds - a->meta().creationTimestamp.seconds < kYoungSeconds) continue;
    api::ObjectPtr service = services.get(owner.ns, owner.name);
    if (service && has(addressesOf(*service), std::string(a->name()))) continue;
    wait([&](auto done) { remove(owner, {std::string(a->name())}, done); });
  }
}

void ServiceAddresses::create(const Owner& owner, std::vector<std::string> ips, std::function<void(Status)> next) {
  if (ips.empty()) return next({});
  std::string ip = ips.back();
  operations_.create(callFor(kGroup, kResource, "create", ip), makeAddress(ip, owner.ns, owner.name),
                     [this, owner, ips = std::move(ips), next = std::move(next)](Result<api::ObjectPtr> r) mutable {
                       std::string ip = ips.back();
                       ips.pop_back();
                       if (r.ok()) {
                         return create(owner, std::move(ips), [this, owner, ip, next](Status s) {
                           if (s.ok()) return next({});
                           remove(owner, {ip}, [next, s] { next(s); });
                         });
                       }
                       if (!r.status().is("AlreadyExists")) return next(r.status());
                       Status taken(409, registry::kTakenElsewhere, r.status().message());
                       // Whoever chooses again is to see it.
                       operations_.resources().registry(kGroup, kResource)->cache().whenFresh(
                           [next, taken](Status s) { next(s.ok() ? taken : s); });
                     });
}

void ServiceAddresses::remove(const Owner& owner, std::vector<std::string> ips, std::function<void()> next) {
  while (!ips.empty() && !owns(owner, ips.back())) ips.pop_back();
  if (ips.empty()) return next();
  std::string ip = ips.back();
  ips.pop_back();
  operations_.remove(callFor(kGroup, kResource, "delete", ip), {},
                     [this, owner, ip, ips = std::move(ips), next = std::move(next)](Result<registry::Deleted> r) mutable {
                       // The next start tries again.
                       if (!r.ok() && !r.status().is("NotFound"))
                         KM_LOG(WARNING, "delete the IPAddress {}: {}", ip, r.status().message());
                       remove(owner, std::move(ips), std::move(next));
                     });
}

void ServiceAddresses::claim(const api::Object& service, const api::Object* old, std::function<void(Status)> next) {
  create({std::string(service.ns()), std::string(service.name())}, beyond(service, old), std::move(next));
}

void ServiceAddresses::release(const api::Object& service, const api::Object* other, std::function<void()> next) {
  remove({std::string(service.ns()), std::string(service.name())}, beyond(service, other), std::move(next));
}

void ServiceAddresses::deleted(const api::Object& service, std::function<void()> next) {
  CallPtr call;
  if (operations_.resources().registry("", "endpoints")->cache().get(service.ns(), service.name())) {
    call = callFor("", "endpoints", "delete", std::string(service.name()));
    call->ns = service.ns();
  }
  release(service, nullptr, [this, call, next = std::move(next)]() mutable {
    if (!call) return next();
    operations_.remove(call, {}, [next = std::move(next)](Result<registry::Deleted> r) {
      if (!r.ok() && !r.status().is("NotFound"))
        KM_LOG(WARNING, "delete the endpoints of a deleted service: {}", r.status().message());
      next();
    });
  });
}

}  // namespace km::apiserver
