// What controllers ask of objects: owners, pods' states, keys. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/object.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/clock.h"
#include "client/client.h"

namespace km::controllers {

using api::core_v1::Pod;
using api::meta_v1::ObjectMeta;
using api::meta_v1::OwnerReference;
using PodPtr = std::shared_ptr<const Pod>;

inline constexpr std::string_view kFieldManager = "kube-controller-manager";

std::string keyOf(const ObjectMeta& meta);
std::pair<std::string, std::string> splitKey(std::string_view key);  // {namespace, name}

// The reference that says "controller: true", or null.
const OwnerReference* controllerOf(const ObjectMeta& meta);
bool isControlledBy(const ObjectMeta& meta, std::string_view uid);
OwnerReference makeControllerRef(const codec::TypeInfo& type, const ObjectMeta& owner);

bool isPodActive(const Pod& pod);    // neither ended nor being deleted
bool isPodTerminal(const Pod& pod);  // Failed or Succeeded
bool isPodReady(const Pod& pod);
const api::core_v1::PodCondition* findPodCondition(const Pod& pod, std::string_view type);
// Ready for at least minReadySeconds.
bool isPodAvailable(const Pod& pod, int32_t minReadySeconds, WallTime now);

// Whether an error carries a cause of this reason ("NamespaceTerminating").
bool hasCause(const Status& status, std::string_view reason);

// Typed calls with the field manager of this program's controllers.
template <typename T>
using Got = Result<std::shared_ptr<const T>>;

template <typename T>
Got<T> typed(Result<api::ObjectPtr> r) {
  if (!r.ok()) return r.status();
  return api::share<T>(*r);
}
client::WriteOptions writeOptions();
template <typename T>
Got<T> createObject(client::Client& c, T o) {
  client::Target t = client::target(T::kType, o.metadata.namespace_);
  return typed<T>(c.create(t, api::Object::of(std::move(o)), writeOptions()));
}
template <typename T>
Got<T> updateObject(client::Client& c, T o, std::string_view subresource = "") {
  client::Target t = client::target(T::kType, o.metadata.namespace_, o.metadata.name, subresource);
  return typed<T>(c.update(t, api::Object::of(std::move(o)), writeOptions()));
}
template <typename T>
Got<T> updateStatus(client::Client& c, T o) {
  return updateObject(c, std::move(o), "status");
}
template <typename T>
Got<T> getObject(client::Client& c, std::string_view ns, std::string_view name) {
  return typed<T>(c.get(client::target(T::kType, ns, name)));
}
template <typename T>
Status removeObject(client::Client& c, std::string_view ns, std::string_view name,
                    const client::DeleteOptions& options = {}) {
  return c.remove(client::target(T::kType, ns, name), options);
}

}  // namespace km::controllers
