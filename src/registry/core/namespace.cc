#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::core_v1::Namespace;
constexpr char kNameLabel[] = "kubernetes.io/metadata.name";

void validateFinalizer(std::string_view name, const Path& p, FieldErrors& errors) {
  size_t before = errors.size();
  qualifiedName(name, p, errors);
  if (errors.size() == before && name.find('/') == std::string_view::npos && name != "kubernetes") {
    errors.invalid(p, name, "name is neither a standard finalizer name nor is it fully qualified");
  }
}

class NamespaceStrategy : public Strategy {
 public:
  void prepareForCreate(const Context&, api::Object& o) const override {
    auto& n = o.as<Namespace>();
    n.status = {};
    n.status.phase = "Active";
    bool has = false;
    for (const auto& f : n.spec.finalizers) has = has || f == "kubernetes";
    if (!has) n.spec.finalizers.push_back("kubernetes");
  }

  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource == "status") {
      copyPart(o, old, "spec");
      return;
    }
    copyPart(o, old, "status");
    o.as<Namespace>().spec.finalizers = old.as<Namespace>().spec.finalizers;
  }

  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    for (const auto& f : o.as<Namespace>().spec.finalizers) validateFinalizer(f, Path("spec.finalizers"), errors);
  }

  void validateUpdate(const Context& c, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }

  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& n = o.as<Namespace>();
    if (!n.metadata.deletionTimestamp) {
      if (n.status.phase != "Active") {
        errors.invalid(Path("status.Phase"), n.status.phase.view(), "may only be 'Active' if `deletionTimestamp` is empty");
      }
    } else if (n.status.phase != "Terminating") {
      errors.invalid(Path("status.Phase"), n.status.phase.view(), "may only be 'Terminating' if `deletionTimestamp` is not empty");
    }
  }

  void canonicalize(api::Object& o) const override { o.meta().labels[kNameLabel] = o.meta().name; }

  api::Messages validateName(std::string_view name, bool prefix) const override {
    if (prefix && !name.empty() && name.back() == '-') name.remove_suffix(1);
    return api::isDns1123Label(name);
  }

  bool hasGeneration() const override { return false; }
  bool holdsDeletions() const override { return true; }
  void markHeld(api::Object& o) const override { o.as<Namespace>().status.phase = "Terminating"; }
  bool mayEnd(const api::Object& o) const override { return o.as<Namespace>().spec.finalizers.empty(); }

  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    return {textCell(o.name()), textCell(o.as<Namespace>().status.phase), ageCell(o, now)};
  }
};

class NamespaceFinalizeStrategy : public NamespaceStrategy {
 public:
  void prepareForUpdate(const Context&, api::Object& o, const api::Object& old) const override { copyPart(o, old, "status"); }

  void validateUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& list = o.as<Namespace>().spec.finalizers;
    for (size_t i = 0; i < list.size(); i++) validateFinalizer(list[i], Path("spec.finalizers").index(i), errors);
  }

  std::vector<std::string_view> resetFields(std::string_view) const override { return {"status"}; }
};

}  // namespace

std::unique_ptr<Strategy> makeNamespace() { return std::make_unique<NamespaceStrategy>(); }
std::unique_ptr<Strategy> makeNamespaceFinalize() { return std::make_unique<NamespaceFinalizeStrategy>(); }

}  // namespace km::registry
