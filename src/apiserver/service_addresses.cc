#include "apiserver/service_addresses.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/networking_v1.h"
#include "base/log.h"

namespace km::apiserver {

using api::core_v1::Service;
using api::networking_v1::IPAddress;

namespace {

constexpr std::string_view kFamily = "ipaddress.kubernetes.io/ip-family", kManagedBy = "ipaddress.kubernetes.io/managed-by";
constexpr std::string_view kAllocator = "ipallocator.k8s.io", kGroup = "networking.k8s.io", kResource = "ipaddresses";

std::vector<std::string> addressesOf(const api::Object& service) {
  std::vector<std::string> out;
  for (const auto& ip : service.as<Service>().spec.clusterIPs) {
    if (!ip.empty() && ip != "None") out.push_back(ip.str());
  }
  return out;
}

std::string endpointsKey(const api::Object& service) { return fmt::format("{}/{}", service.ns(), service.name()); }

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

void ServiceAddresses::repair() {
  for (const auto& s : *operations_.resources().registry("", "services")->cache().list().objects) {
    for (std::string& ip : addressesOf(*s)) {
      if (!operations_.resources().registry(kGroup, kResource)->cache().get("", ip)) want(ip, Owner{std::string(s->ns()), std::string(s->name())});
    }
  }
}

void ServiceAddresses::writing(const api::Object& service, const api::Object* old) {
  std::vector<std::string> before = old != nullptr ? addressesOf(*old) : std::vector<std::string>();
  for (std::string& ip : addressesOf(service)) {
    if (!has(before, ip)) want(ip, Owner{std::string(service.ns()), std::string(service.name())});
  }
}

void ServiceAddresses::freed(const registry::Ip& ip) { want(ip.str(), std::nullopt); }

void ServiceAddresses::deleted(const api::Object& service) {
  for (const std::string& ip : addressesOf(service)) want(ip, std::nullopt);
  if (!operations_.resources().registry("", "endpoints")->cache().get(service.ns(), service.name())) return;
  CallPtr call = callFor("", "endpoints", "delete", std::string(service.name()));
  call->ns = service.ns();
  std::string key = endpointsKey(service);
  {
    std::lock_guard lock(mutex_);
    entries_[key].busy = true;
  }
  operations_.remove(call, {}, [this, key](Result<registry::Deleted> r) {
    if (!r.ok() && !r.status().is("NotFound")) KM_LOG(WARNING, "delete the endpoints of a deleted service: {}", r.status().message());
    Entry gone;  // who waits for it is told after the lock
    std::lock_guard lock(mutex_);
    std::swap(gone, entries_[key]);
    entries_.erase(key);
  });
}

void ServiceAddresses::settle(const api::Object& service, const api::Object* old, std::function<void()> done) {
  std::vector<std::string> keys = addressesOf(service);
  keys.push_back(endpointsKey(service));
  if (old != nullptr) {
    for (std::string& ip : addressesOf(*old)) keys.push_back(std::move(ip));
  }
  auto waiting = std::make_shared<Waiting>(std::move(done));
  std::lock_guard lock(mutex_);
  for (const std::string& key : keys) {
    auto it = entries_.find(key);
    if (it != entries_.end() && (it->second.busy || it->second.wanted != it->second.stored)) it->second.waiting.push_back(waiting);
  }
}

bool ServiceAddresses::isReserved(const registry::Ip& ip) const {
  auto address = operations_.resources().registry(kGroup, kResource)->cache().get("", ip.str());
  return address && !isOurs(*address);
}

void ServiceAddresses::want(const std::string& ip, std::optional<Owner> owner) {
  {
    std::lock_guard lock(mutex_);
    auto [it, fresh] = entries_.try_emplace(ip);
    Entry& e = it->second;
    if (fresh) {
      // What is stored from before counts, also if it is another's: only what the allocator made goes with its service.
      auto address = operations_.resources().registry(kGroup, kResource)->cache().get("", ip);
      if (address && isOurs(*address)) {
        const auto& parent = address->as<IPAddress>().spec.parentRef;
        if (parent) e.stored = Owner{parent->namespace_.str(), parent->name.str()};
      }
    }
    e.wanted = std::move(owner);
  }
  step(ip);
}

void ServiceAddresses::step(const std::string& ip) {
  std::optional<Owner> create;
  std::vector<std::shared_ptr<Waiting>> settled;  // let go after the lock
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(ip);
    if (it == entries_.end() || it->second.busy) return;
    Entry& e = it->second;
    if (e.wanted == e.stored) {
      settled.swap(e.waiting);
      if (!e.wanted) entries_.erase(it);
      return;
    }
    e.busy = true;
    // One that belongs to another service goes first: the owner of an IPAddress cannot change.
    if (!e.stored) create = e.wanted;
  }
  if (create) {
    operations_.create(callFor(kGroup, kResource, "create", ip), makeAddress(ip, create->ns, create->name),
                       [this, ip, create](Result<api::ObjectPtr> r) {
                         if (!r.ok()) KM_LOG(WARNING, "create the IPAddress {}: {}", ip, r.status().message());
                         finish(ip, r.ok() ? create : std::nullopt, !r.ok());
                       });
  } else {
    operations_.remove(callFor(kGroup, kResource, "delete", ip), {}, [this, ip](Result<registry::Deleted> r) {
      bool failed = !r.ok() && !r.status().is("NotFound");
      if (failed) KM_LOG(WARNING, "delete the IPAddress {}: {}", ip, r.status().message());
      finish(ip, std::nullopt, failed);
    });
  }
}

void ServiceAddresses::finish(const std::string& ip, std::optional<Owner> stored, bool failed) {
  {
    std::lock_guard lock(mutex_);
    Entry& e = entries_[ip];
    e.busy = false;
    e.stored = std::move(stored);
    // It is not tried again: the next start repairs, and the allocator knows better anyway.
    if (failed) e.stored = e.wanted;
  }
  step(ip);
}

}  // namespace km::apiserver
