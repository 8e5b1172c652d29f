#include "object/openapi_schema.h"

#include <algorithm>
#include <set>

#include "api/object.h"
#include "api/resource.h"
#include "base/strings.h"
#include "object/openapi_model.h"

namespace km::object {

using codec::Field;
using codec::Kind;
using codec::Shape;
using codec::TypeInfo;
using codec::Value;

namespace {

constexpr std::string_view kMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.";

Value typed(std::string_view type, std::string_view format = {}) {
  Value v = Value::object();
  v.set("type", Value::string(type));
  if (!format.empty()) v.set("format", Value::string(format));
  return v;
}

Value strings(std::initializer_list<std::string_view> list) {
  Value v = Value::list();
  for (std::string_view s : list) v.push(Value::string(s));
  return v;
}

Value kindEntry(std::string_view group, std::string_view version, std::string_view kind) {
  Value v = Value::object();
  v.set("group", Value::string(group));
  v.set("kind", Value::string(kind));
  v.set("version", Value::string(version));
  return v;
}

// Options and events belong to every group-version.
Value everywhere(std::string_view kind) {
  std::set<std::pair<std::string_view, std::string_view>> versions;
  versions.emplace("", "v1");
  for (const api::Resource& r : api::builtinResources()) versions.emplace(r.group, r.version);
  Value out = Value::list();
  for (const auto& [group, version] : versions) out.push(kindEntry(group, version, kind));
  return out;
}

bool isSimple(const Field& f) {
  switch (f.kind) {
    case Kind::kBool:
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kUint32:
    case Kind::kUint64:
    case Kind::kDouble:
    case Kind::kString:
      return true;
    default:
      return false;
  }
}

// Fields that JSON always shows and that may be left out all the same (+optional upstream).
constexpr std::string_view kOptional[] = {
    "apiextensions.v1.CustomResourceDefinitionStatus.acceptedNames",
    "apiextensions.v1.CustomResourceDefinitionStatus.conditions",
    "apiextensions.v1.CustomResourceDefinitionStatus.storedVersions",
    "apps.v1.StatefulSetOrdinals.start",
    "apps.v1.StatefulSetSpec.serviceName",
    "apps.v1.StatefulSetStatus.availableReplicas",
    "authentication.v1.TokenRequest.spec",
    "authentication.v1.TokenRequestSpec.audiences",
    "authentication.v1.TokenRequestSpec.boundObjectRef",
    "authentication.v1.TokenRequestSpec.expirationSeconds",
    "authentication.v1.TokenRequestStatus.expirationTimestamp",
    "authentication.v1.TokenRequestStatus.token",
    "autoscaling.v2.HorizontalPodAutoscalerStatus.currentMetrics",
    "batch.v1.PodFailurePolicyOnPodConditionsPattern.status",
    "core.v1.AzureFilePersistentVolumeSource.secretNamespace",
    "core.v1.ContainerImage.names",
    "core.v1.Event.reportingComponent",
    "core.v1.Event.reportingInstance",
    "core.v1.GRPCAction.service",
    "core.v1.NodeRuntimeHandler.name",
    "core.v1.ProjectedVolumeSource.sources",
    "core.v1.TypedLocalObjectReference.apiGroup",
    "core.v1.TypedObjectReference.apiGroup",
    "discovery.v1.EndpointSlice.endpoints",
    "discovery.v1.EndpointSlice.ports",
    "events.v1.Event.metadata",
    "flowcontrol.v1.FlowSchemaSpec.matchingPrecedence",
    "flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
    "flowcontrol.v1.QueuingConfiguration.handSize",
    "flowcontrol.v1.QueuingConfiguration.queueLengthLimit",
    "flowcontrol.v1.QueuingConfiguration.queues",
    "flowcontrol.v1.ResourcePolicyRule.namespaces",
    "networking.v1.IngressClassParametersReference.scope",
    "networking.v1.NetworkPolicySpec.podSelector",
    "policy.v1.PodDisruptionBudgetStatus.currentHealthy",
    "policy.v1.PodDisruptionBudgetStatus.desiredHealthy",
    "policy.v1.PodDisruptionBudgetStatus.disruptionsAllowed",
    "policy.v1.PodDisruptionBudgetStatus.expectedPods",
    "rbac.v1.ClusterRole.rules",
    "rbac.v1.Role.rules",
    "rbac.v1.RoleRef.apiGroup",
    "resource.v1.AllocatedDeviceStatus.conditions",
    "resource.v1.CapacityRequestPolicy.default",
    "resource.v1.DeviceClaim.requests",
    "resource.v1.ResourceClaimSpec.devices",
    "scheduling.v1.PriorityClass.value",
    "storage.v1.CSINodeDriver.topologyKeys",
};

bool isRequired(const TypeInfo& t, const Field& f) {
  if ((f.flags & codec::kRequired) == 0 && (f.flags & (codec::kOmitEmpty | codec::kOmitZero)) != 0)
    return false;
  std::string name = definitionName(t) + "." + std::string(f.name);
  return std::none_of(std::begin(kOptional), std::end(kOptional), [&](std::string_view o) {
    return name.size() > o.size() && name.ends_with(o) && name[name.size() - o.size() - 1] == '.';
  });
}

// patchStrategy=replace, which the tables do not tell from none.
bool isReplaced(const TypeInfo& t, const Field& f) {
  return t.name == "PodDisruptionBudgetSpec" && f.name == "selector";
}

Value zeroOf(const Field& f) {
  if (f.kind == Kind::kString) return Value::string("");
  if (f.kind == Kind::kBool) return Value::boolean(false);
  return Value::integer(0);
}

}  // namespace

Value Definitions::reference(std::string_view name) const {
  Value v = Value::object();
  v.set("$ref",
        Value::string((version_ == 2 ? "#/definitions/" : "#/components/schemas/") + std::string(name)));
  return v;
}

Value Definitions::refer(const TypeInfo& t) {
  std::string name = definitionName(t);
  if (definitions_.find(name) == nullptr) {
    definitions_.set(name, Value::object());  // ends recursion
    define(t);
  }
  return reference(name);
}

Value Definitions::refer(std::string_view name) {
  if (definitions_.find(name) != nullptr) return reference(name);
  Value d = typed("object");
  if (name == "io.k8s.apimachinery.pkg.api.resource.Quantity") {
    d = typed("string");
    if (version_ == 3) {
      d = Value::object();
      d["oneOf"].push(typed("string"));
      d["oneOf"].push(typed("number"));
    }
  } else if (name == "io.k8s.apimachinery.pkg.util.intstr.IntOrString") {
    d = typed("string", "int-or-string");
    if (version_ == 3) {
      d = Value::object();
      d.set("format", Value::string("int-or-string"));
      d["oneOf"].push(typed("integer"));
      d["oneOf"].push(typed("string"));
    }
  } else if (name == std::string(kMeta) + "Time" || name == std::string(kMeta) + "MicroTime") {
    d = typed("string", "date-time");
  } else if (name == std::string(kMeta) + "Duration") {
    d = typed("string");
  } else if (name.ends_with(".JSON")) {
    d = Value::object();
  } else if (name == std::string(kMeta) + "WatchEvent") {
    definitions_.set(name, Value());
    d.set("required", strings({"type", "object"}));
    d["properties"].set("type", typed("string"));
    d["properties"].set("object", refer("io.k8s.apimachinery.pkg.runtime.RawExtension"));
    d.set("x-kubernetes-group-version-kind", everywhere("WatchEvent"));
  } else if (name == "io.k8s.apimachinery.pkg.version.Info") {
    d.set("required", strings({"major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate",
                               "goVersion", "compiler", "platform"}));
    for (std::string_view p :
         {"major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler",
          "platform", "emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"}) {
      d["properties"].set(p, typed("string"));
    }
  }
  definitions_.set(name, std::move(d));
  return reference(name);
}

Value Definitions::element(const TypeInfo& owner, const Field& f, bool* isStruct) {
  *isStruct = false;
  switch (f.kind) {
    case Kind::kBool:
      return typed("boolean");
    case Kind::kInt32:
      return typed("integer", "int32");
    case Kind::kUint32:
      return typed("integer", "int64");
    case Kind::kInt64:
    case Kind::kUint64:
      return typed("integer", "int64");
    case Kind::kDouble:
      return typed("number", "double");
    case Kind::kString:
      return typed("string");
    case Kind::kBytes:
      return typed("string", "byte");
    case Kind::kQuantity:
      return refer("io.k8s.apimachinery.pkg.api.resource.Quantity");
    case Kind::kTime:
      return refer(std::string(kMeta) + "Time");
    case Kind::kMicroTime:
      return refer(std::string(kMeta) + "MicroTime");
    case Kind::kDuration:
      return refer(std::string(kMeta) + "Duration");
    case Kind::kIntOrString:
      return refer("io.k8s.apimachinery.pkg.util.intstr.IntOrString");
    case Kind::kRawJson:
      if (f.name == "fieldsV1") return refer(std::string(kMeta) + "FieldsV1");
      if (owner.apiVersion.starts_with("apiextensions.k8s.io/") &&
          owner.name.starts_with("JSONSchemaProps")) {
        return refer("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON");
      }
      return refer("io.k8s.apimachinery.pkg.runtime.RawExtension");
    case Kind::kMessage:
      if (f.type->form == codec::Form::kTransparent) return field(*f.type, f.type->fields[0]);
      *isStruct = f.type->form == codec::Form::kObject;
      return refer(*f.type);
  }
  return Value::object();
}

void Definitions::marks(Value& v, const Field& f) const {
  // Facts that the tables have no place for.
  if (f.name == "claimRef" || f.name == "allocatedResourceStatuses")
    v.set("x-kubernetes-map-type", Value::string("granular"));
  const codec::FieldMarks* m = f.marks;
  if (m == nullptr) return;
  bool list = f.shape == Shape::kList;
  if (m->listKind != codec::ListKind::kUnset) {
    const char* kind = m->listKind == codec::ListKind::kAtomic ? "atomic"
                       : m->listKind == codec::ListKind::kSet  ? "set"
                                                               : "map";
    if (f.kind == Kind::kBytes) list = true;
    v.set(list ? "x-kubernetes-list-type" : "x-kubernetes-map-type", Value::string(kind));
  }
  if (m->listKeys != nullptr) {
    Value keys = Value::list();
    for (std::string_view k : split(m->listKeys, ',')) keys.push(Value::string(k));
    v.set("x-kubernetes-list-map-keys", std::move(keys));
  }
  if (m->patchMerge || m->patchRetainKeys) {
    v.set("x-kubernetes-patch-strategy",
          Value::string(m->patchMerge && m->patchRetainKeys ? "merge,retainKeys"
                        : m->patchMerge                     ? "merge"
                                                            : "retainKeys"));
  }
  if (m->patchKey != nullptr) v.set("x-kubernetes-patch-merge-key", Value::string(m->patchKey));
}

Value Definitions::field(const TypeInfo& owner, const Field& f) {
  bool isStruct;
  Value v = element(owner, f, &isStruct);
  if (f.shape == Shape::kList) {
    Value list = typed("array");
    list.set("items", std::move(v));
    v = std::move(list);
  } else if (f.shape == Shape::kMap) {
    Value map = typed("object");
    map.set("additionalProperties", std::move(v));
    v = std::move(map);
  } else if (version_ == 3) {
    bool plain = f.shape == Shape::kPlain;
    std::optional<Value> given;
    if (f.marks != nullptr && f.marks->defaultJson != nullptr) {
      std::string_view text = f.marks->defaultJson;
      // Defaults that name a constant.
      if (text == "ref(AzureDataDiskCachingReadWrite)") text = "\"ReadWrite\"";
      if (text == "ref(AzureSharedBlobDisk)") text = "\"Shared\"";
      if (auto parsed = Value::parse(text); parsed.ok()) given = std::move(parsed).value();
    }
    if (given) {
      if (v.find("$ref") != nullptr) {
        Value out = Value::object();
        out["allOf"].push(std::move(v));
        v = std::move(out);
      }
      v.set("default", std::move(*given));
    } else if (plain && isStruct) {
      Value out = Value::object();
      out["allOf"].push(std::move(v));
      out.set("default", Value::object());
      v = std::move(out);
    } else if (plain && isSimple(f) && (f.flags & codec::kOmitEmpty) == 0) {
      v.set("default", zeroOf(f));
    }
  }
  {
    Value extensions = Value::object();
    marks(extensions, f);
    if (isReplaced(owner, f)) extensions.set("x-kubernetes-patch-strategy", Value::string("replace"));
    if (extensions.size() != 0 && version_ == 3 && v.find("$ref") != nullptr) {
      Value out = Value::object();
      out["allOf"].push(std::move(v));
      v = std::move(out);
    }
    for (auto& m : extensions.members()) v.set(m.key, std::move(m.value));
  }
  return v;
}

void Definitions::define(const TypeInfo& t) {
  Value d = typed("object");
  if (t.form != codec::Form::kObject) {
    definitions_.set(definitionName(t), Value::object());  // anything
    return;
  }
  Value properties = Value::object(), required = Value::list();
  if ((t.flags & codec::kHasTypeMeta) != 0) {
    properties.set("kind", typed("string"));
    properties.set("apiVersion", typed("string"));
  }
  for (const Field& f : t) {
    properties.set(f.name, field(t, f));
    if (isRequired(t, f)) required.push(Value::string(f.name));
  }
  if (properties.size() != 0) d.set("properties", std::move(properties));
  if (required.size() != 0) d.set("required", std::move(required));
  if ((t.flags & codec::kAtomicStruct) != 0) d.set("x-kubernetes-map-type", Value::string("atomic"));
  if ((t.flags & codec::kHasTypeMeta) != 0) {
    auto gv = api::splitApiVersion(t.apiVersion);
    Value kinds = Value::list();
    kinds.push(kindEntry(gv.group, gv.version, t.name));
    d.set("x-kubernetes-group-version-kind",
          t.name == "DeleteOptions" ? everywhere(t.name) : std::move(kinds));
  }
  definitions_.set(definitionName(t), std::move(d));
}

Value Definitions::all() {
  return std::move(definitions_);
}

}  // namespace km::object
