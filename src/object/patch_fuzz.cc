// Patches of all kinds, and applies by two managers, from anybody: an answer or an error, and managed fields that can be read.
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/field_error.h"
#include "api/object.h"
#include "api/types/apps_v1.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "object/managed_fields.h"
#include "object/patch.h"

namespace api = km::api;
namespace object = km::object;

namespace {

constexpr std::string_view kLive = R"({"metadata":{"name":"web","labels":{"a":"b"},"finalizers":["x/y"]},"spec":{"replicas":2,
  "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[
  {"name":"c","image":"i","ports":[{"containerPort":80,"protocol":"TCP"}],"env":[{"name":"E","value":"v"}]}],
  "tolerations":[{"key":"k"}],"volumes":[{"name":"v","emptyDir":{}}]}}}})";

void checkManagers(const api::Object& o) {
  api::FieldErrors errors;
  object::validateManagedFields(o.meta(), api::Path("metadata.managedFields"), errors);
  if (!errors.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const km::codec::TypeInfo& type = api::apps_v1::Deployment::kType;
  static const api::MutableObject live = [&] {
    auto o = api::Object::make(type);
    if (!km::codec::decodeJson(kLive, o->data(), type).ok()) std::abort();
    object::FieldWriter creator;
    creator.manager = "creator";
    object::updateManagedFields(nullptr, *o, creator);
    return o;
  }();
  std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  km::codec::StrictErrors strict;
  int kind = data[0] % 4;
  if (kind < 3) {
    auto patched = object::applyPatch(static_cast<object::PatchKind>(kind), *live, body, &strict);
    if (!patched.ok()) return 0;
    object::FieldWriter w;
    w.manager = "patcher";
    object::updateManagedFields(live.get(), **patched, w);
    checkManagers(**patched);
    return 0;
  }
  object::FieldWriter first, second;
  first.manager = "one";
  second.manager = "two";
  auto applied = object::serverSideApply(live.get(), type, body, true, first, &strict);
  if (!applied.ok()) return 0;
  checkManagers(**applied);
  auto again = object::serverSideApply(applied->get(), type, body, false, first, &strict);
  // What was applied applies again and changes nothing.
  if (!again.ok() || !object::sameExceptManagedFieldsTime(**again, **applied)) std::abort();
  auto other = object::serverSideApply(applied->get(), type, body, false, second, &strict);
  if (other.ok()) checkManagers(**other);
  return 0;
}
