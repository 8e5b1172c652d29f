// Object: one version of one API object, of any built-in kind. Built by one owner, then published as an
// ObjectPtr and never changed again: caches, informers and responses of one process all share it, and each of its
// encodings is made once.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "api/types/fwd.h"
#include "base/result.h"
#include "codec/type.h"

namespace km::api {

class Object;
using ObjectPtr = std::shared_ptr<const Object>;
// An object that is still being built; assign to an ObjectPtr to publish it.
using MutableObject = std::shared_ptr<Object>;
using SharedBytes = std::shared_ptr<const std::string>;

class Object {
 public:
  // An empty object of the type.
  static MutableObject make(const codec::TypeInfo& type);
  // Takes the value.
  template <typename T>
  static MutableObject of(T&& value) {
    using V = std::remove_cvref_t<T>;
    MutableObject o = make(V::kType);
    o->as<V>() = std::forward<T>(value);
    return o;
  }
  // A deep copy, to be changed.
  MutableObject clone() const;

  explicit Object(const codec::TypeInfo& type);
  ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  const codec::TypeInfo& type() const { return type_; }
  std::string_view kind() const { return type_.name; }
  std::string_view apiVersion() const { return type_.apiVersion; }
  const void* data() const { return data_; }
  void* data() { return data_; }
  bool is(const codec::TypeInfo& t) const { return &type_ == &t; }
  // The struct; T must be the object's type.
  template <typename T>
  const T& as() const {
    return *static_cast<const T*>(data_);
  }
  template <typename T>
  T& as() {
    return *static_cast<T*>(data_);
  }

  // Every resource's type has metadata; an empty one stands in for the few types that have none.
  const meta_v1::ObjectMeta& meta() const;
  meta_v1::ObjectMeta& meta();
  std::string_view name() const;
  std::string_view ns() const;
  // "namespace/name", or "name" where there is no namespace.
  std::string key() const;
  // metadata.resourceVersion as a number; 0 if there is none.
  int64_t resourceVersion() const;

  // The whole object with kind and apiVersion as compact JSON without newline / as enveloped protobuf. Made at the
  // first call, from any thread; only for a published object.
  SharedBytes json() const;
  SharedBytes proto() const;
  // Lets go of the encodings if nobody asked for one since the last call; they are made again when needed. True if some are kept.
  bool letGoOfEncodings() const;

 private:
  const codec::TypeInfo& type_;
  void* data_;
  mutable std::atomic<std::shared_ptr<const std::string>> json_;
  mutable std::atomic<std::shared_ptr<const std::string>> proto_;
  mutable std::atomic<bool> asked_{false};
};

// Shares ownership of the object, points at its struct.
template <typename T>
std::shared_ptr<const T> share(const ObjectPtr& o) {
  return {o, &o->as<T>()};
}

// "apps/v1" -> {"apps", "v1"}; "v1" -> {"", "v1"}.
struct GroupVersion {
  std::string_view group;
  std::string_view version;
};
GroupVersion splitApiVersion(std::string_view apiVersion);

}  // namespace km::api
