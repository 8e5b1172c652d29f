#include "registry/strategy.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/selector.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "registry/defaults.h"
#include "registry/metadata.h"

namespace km::registry {

namespace {

// Resources whose objects count their generations (upstream's strategies that set it). Sorted.
constexpr std::string_view kGenerations[] = {"cronjobs",
                                             "customresourcedefinitions",
                                             "daemonsets",
                                             "deployments",
                                             "deviceclasses",
                                             "devicetaintrules",
                                             "flowschemas",
                                             "ingressclasses",
                                             "ingresses",
                                             "jobs",
                                             "mutatingadmissionpolicies",
                                             "mutatingadmissionpolicybindings",
                                             "mutatingwebhookconfigurations",
                                             "networkpolicies",
                                             "poddisruptionbudgets",
                                             "podtemplates",
                                             "prioritylevelconfigurations",
                                             "replicasets",
                                             "replicationcontrollers",
                                             "resourceslices",
                                             "statefulsets",
                                             "validatingadmissionpolicies",
                                             "validatingadmissionpolicybindings",
                                             "validatingwebhookconfigurations"};

// Whether anything but metadata and status differs.
bool contentChanged(const api::Object& o, const api::Object& old) {
  for (const codec::Field& f : o.type()) {
    if (f.name == "metadata" || f.name == "status") continue;
    if (!codec::equalField(o.data(), old.data(), f)) return true;
  }
  return false;
}

}  // namespace

namespace {

struct MetaChecks {
  std::string_view resource, checks;
};

// Kinds whose update rules check the metadata otherwise than only against the old object. Sorted.
constexpr MetaChecks kMetaChecks[] = {
    {"apiservices", "UC"},
    {"certificatesigningrequests", "CU"},
    {"clusterrolebindings", "CU"},
    {"clusterroles", "CU"},
    {"clustertrustbundles", "CU"},
    {"configmaps", "UC"},
    {"controllerrevisions", "UC"},
    {"csinodes", "C"},
    {"csistoragecapacities", "CU"},
    {"daemonsets", "CU"},
    {"deviceclasses", "CU"},
    {"endpoints", "UC"},
    {"endpointslices", "C"},
    {"flowschemas", "C"},
    {"ingressclasses", "UC"},
    {"ingresses", "UC"},
    {"limitranges", "C"},
    {"mutatingadmissionpolicies", "C"},
    {"mutatingadmissionpolicybindings", "C"},
    {"mutatingwebhookconfigurations", "C"},
    {"nodes", "CU"},
    {"persistentvolumeclaims", "UC"},
    {"persistentvolumes", "C"},
    {"poddisruptionbudgets", ""},
    {"pods", "UC"},
    {"prioritylevelconfigurations", "C"},
    {"replicasets", "CU"},
    {"replicationcontrollers", "CU"},
    {"resourceclaims", "CU"},
    {"rolebindings", "CU"},
    {"roles", "CU"},
    {"secrets", "UC"},
    {"serviceaccounts", "UC"},
    {"statefulsets", "CU"},
    {"storageclasses", "CU"},
    {"storageversionmigrations", "CU"},
    {"validatingadmissionpolicies", "C"},
    {"validatingadmissionpolicybindings", "C"},
    {"validatingwebhookconfigurations", "C"},
    {"volumeattachments", "C"},
    {"volumeattributesclasses", "UC"},
};

}  // namespace

std::string_view Strategy::repeatedMetaChecks(std::string_view subresource) const {
  // Statuses are compared with the old object, whatever the kind.
  return subresource == "status" ? "U" : metaChecks_;
}

std::string Strategy::generateName(std::string_view base) const {
  return registry::generateName(base);
}

void Strategy::describe(const api::Resource& r) {
  traits_ = traitsOf(r);
  auto it = std::lower_bound(std::begin(kMetaChecks), std::end(kMetaChecks), r.name,
                             [](const MetaChecks& m, std::string_view name) { return m.resource < name; });
  if (it != std::end(kMetaChecks) && it->resource == r.name) metaChecks_ = it->checks;
  for (const api::Subresource& s : r.subresources) hasStatus_ = hasStatus_ || s.name == "status";
  hasGeneration_ = std::binary_search(std::begin(kGenerations), std::end(kGenerations), r.name);
}

void Strategy::setDefaults(api::Object& o) const {
  applyDefaults(o);
}

void Strategy::prepareForCreate(const Context& c, api::Object& o) const {
  if (hasStatus()) {
    clearPart(o, "status");
    setDefaults(o);  // of the status, which is new
  }
  if (hasGeneration()) o.meta().generation = 1;
}

void Strategy::prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const {
  if (c.subresource == "status") {
    // Only the status, and the parts of the metadata that say nothing about the spec, may change.
    api::MutableObject merged = old.clone();
    copyPart(*merged, o, "status");
    auto& meta = merged->meta();
    auto& given = o.meta();
    meta.resourceVersion = given.resourceVersion;
    meta.managedFields = given.managedFields;
    if (!traits_.statusKeepsMetadata) {
      meta.labels = given.labels;
      meta.annotations = given.annotations;
      meta.finalizers = given.finalizers;
      meta.ownerReferences = given.ownerReferences;
    }
    codec::destroy(o.data(), o.type());
    codec::copy(o.data(), merged->data(), o.type());
    return;
  }
  if (hasStatus()) copyPart(o, old, "status");
  if (hasGeneration() && contentChanged(o, old)) o.meta().generation = old.meta().generation + 1;
}

api::Messages Strategy::validateName(std::string_view name, bool prefix) const {
  if (prefix && !name.empty() && name.back() == '-') name.remove_suffix(1);
  return api::isDns1123Subdomain(name);
}

std::vector<std::string_view> Strategy::resetFields(std::string_view subresource) const {
  if (!hasStatus()) return {};
  if (subresource == "status" && traits_.statusKeepsMetadata) return {"spec", "metadata"};
  if (subresource == "status") return {"spec"};
  return {"status"};
}

std::vector<std::string> Strategy::cells(const api::Resource& r, const api::Object& o, WallTime now) const {
  std::vector<std::string> out;
  for (const api::Column& c : r.columns) {
    if (c.name == "Name") {
      out.push_back(textCell(o.name()));
    } else if (c.name == "Age" || c.name == "Created At") {
      out.push_back(textCell(c.name == "Age" ? age(o.meta().creationTimestamp, now)
                                             : o.meta().creationTimestamp.str()));
    } else {
      out.push_back(textCell(""));
    }
  }
  return out;
}

std::string Strategy::selectableField(const api::Object& o, std::string_view path) const {
  return api::fieldText(o.data(), o.type(), path);
}

std::string textCell(std::string_view text) {
  std::string out;
  codec::appendJsonString(out, text);
  return out;
}

std::string age(const codec::Time& since, WallTime now) {
  if (since.isZero()) return "<unknown>";
  int64_t s = now.seconds - since.seconds;
  // k8s.io/apimachinery/pkg/util/duration.HumanDuration
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 120) return fmt::format("{}s", s);
  int64_t m = s / 60;
  if (m < 10) return s % 60 == 0 ? fmt::format("{}m", m) : fmt::format("{}m{}s", m, s % 60);
  if (m < 180) return fmt::format("{}m", m);
  int64_t h = s / 3600;
  if (h < 8) return m % 60 == 0 ? fmt::format("{}h", h) : fmt::format("{}h{}m", h, m % 60);
  if (h < 48) return fmt::format("{}h", h);
  int64_t d = h / 24;
  if (h < 192) return h % 24 == 0 ? fmt::format("{}d", d) : fmt::format("{}d{}h", d, h % 24);
  if (d < 365 * 2) return fmt::format("{}d", d);
  if (d < 365 * 8)
    return d % 365 == 0 ? fmt::format("{}y", d / 365) : fmt::format("{}y{}d", d / 365, d % 365);
  return fmt::format("{}y", d / 365);
}

bool samePart(const api::Object& a, const api::Object& b, std::string_view field) {
  const codec::Field* f = a.type().find(field);
  return f == nullptr || codec::equalField(a.data(), b.data(), *f);
}

void copyPart(api::Object& to, const api::Object& from, std::string_view field) {
  const codec::Field* f = to.type().find(field);
  if (f == nullptr) return;
  codec::destroyField(to.data(), *f);
  codec::copyField(to.data(), from.data(), *f);
}

void clearPart(api::Object& o, std::string_view field) {
  if (const codec::Field* f = o.type().find(field)) codec::destroyField(o.data(), *f);
}

}  // namespace km::registry
