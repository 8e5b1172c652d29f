#include "api/object.h"

#include <charconv>

#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "codec/proto.h"

namespace km::api {
namespace {

const codec::Field* metadataOf(const codec::TypeInfo& t) {
  // metadata is the first field of every resource.
  if (t.fieldCount == 0 || t.fields[0].type != &meta_v1::ObjectMeta::kType) return nullptr;
  return &t.fields[0];
}

constexpr size_t kMaxRoom = 256 << 10;

SharedBytes encodeOnce(std::atomic<SharedBytes>& slot, auto encode) {
  if (SharedBytes made = slot.load(std::memory_order_acquire)) return made;
  // Encoded where there is room already, and kept in as much as it takes.
  thread_local std::string room;
  room.clear();
  encode(room);
  SharedBytes fresh = std::make_shared<const std::string>(room), expected;
  if (room.capacity() > kMaxRoom) room = std::string();
  // The first one wins, so that all share it.
  if (slot.compare_exchange_strong(expected, fresh, std::memory_order_acq_rel)) return fresh;
  return expected;
}

}  // namespace

Object::Object(const codec::TypeInfo& type) : type_(type), data_(codec::boxNew(type)) {}

Object::~Object() { codec::boxDelete(data_, type_); }

MutableObject Object::make(const codec::TypeInfo& type) { return std::make_shared<Object>(type); }

MutableObject Object::clone() const {
  MutableObject o = make(type_);
  codec::copy(o->data_, data_, type_);
  return o;
}

const meta_v1::ObjectMeta& Object::meta() const {
  static const meta_v1::ObjectMeta kNone;
  const codec::Field* f = metadataOf(type_);
  return f ? *static_cast<const meta_v1::ObjectMeta*>(codec::at(data_, *f)) : kNone;
}

meta_v1::ObjectMeta& Object::meta() {
  const codec::Field* f = metadataOf(type_);
  if (f == nullptr) {
    thread_local meta_v1::ObjectMeta scratch;
    scratch = {};
    return scratch;
  }
  return *static_cast<meta_v1::ObjectMeta*>(codec::at(data_, *f));
}

std::string_view Object::name() const { return meta().name; }
std::string_view Object::ns() const { return meta().namespace_; }

std::string Object::key() const {
  const auto& m = meta();
  if (m.namespace_.empty()) return m.name.str();
  std::string out = m.namespace_.str();
  out += '/';
  out += m.name;
  return out;
}

int64_t Object::resourceVersion() const {
  std::string_view s = meta().resourceVersion;
  int64_t v = 0;
  std::from_chars(s.data(), s.data() + s.size(), v);
  return v;
}

SharedBytes Object::json() const {
  if (!asked_.load(std::memory_order_relaxed)) asked_.store(true, std::memory_order_relaxed);
  return encodeOnce(json_, [this](std::string& out) { codec::encodeJson(out, data_, type_); });
}

SharedBytes Object::proto() const {
  if (!asked_.load(std::memory_order_relaxed)) asked_.store(true, std::memory_order_relaxed);
  return encodeOnce(proto_, [this](std::string& out) { codec::encodeEnveloped(out, data_, type_, type_.apiVersion); });
}

bool Object::letGoOfEncodings() const {
  if (asked_.exchange(false, std::memory_order_relaxed)) return true;
  json_.store(nullptr, std::memory_order_release);
  proto_.store(nullptr, std::memory_order_release);
  return false;
}

GroupVersion splitApiVersion(std::string_view apiVersion) {
  size_t slash = apiVersion.find('/');
  if (slash == std::string_view::npos) return {"", apiVersion};
  return {apiVersion.substr(0, slash), apiVersion.substr(slash + 1)};
}

}  // namespace km::api
