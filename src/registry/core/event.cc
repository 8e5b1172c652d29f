#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/metadata.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::core_v1::Event;

constexpr size_t kMaxInstance = 128, kMaxAction = 128, kMaxReason = 128, kMaxNote = 1024;

std::string tooManyCharacters(size_t max) { return fmt::format("can have at most {} characters", max); }

// Rules of events that say when they happened (written by clients of events.k8s.io, whatever the API they came through).
void validateTimed(const Event& e, std::string_view controllerField, FieldErrors& errors) {
  Path controller(controllerField);
  if (e.involvedObject.namespace_.empty() && !isIn(e.metadata.namespace_, {"default", "kube-system"})) {
    errors.invalid(Path("involvedObject.namespace"), e.involvedObject.namespace_.view(), "does not match event.namespace");
  }
  if (e.reportingComponent.empty()) errors.required(controller, "");
  qualifiedName(e.reportingComponent, controller, errors);
  if (e.reportingInstance.empty()) errors.required(Path("reportingInstance"), "");
  if (e.reportingInstance.size() > kMaxInstance) errors.invalid(Path("reportingInstance"), "", tooManyCharacters(kMaxInstance));
  if (e.action.empty()) errors.required(Path("action"), "");
  if (e.action.size() > kMaxAction) errors.invalid(Path("action"), "", tooManyCharacters(kMaxAction));
  if (e.reason.empty()) errors.required(Path("reason"), "");
  if (e.reason.size() > kMaxReason) errors.invalid(Path("reason"), "", tooManyCharacters(kMaxReason));
  if (e.message.size() > kMaxNote) errors.invalid(Path("message"), "", tooManyCharacters(kMaxNote));
}

void validateLegacy(const Event& e, bool core, FieldErrors& errors) {
  const auto& ns = e.metadata.namespace_;
  const auto& about = e.involvedObject.namespace_;
  if (!e.eventTime.isZero()) {
    validateTimed(e, core ? "reportingComponent" : "reportingController", errors);
  } else if (about.empty() ? !ns.empty() && ns != "default" : ns != about) {
    errors.invalid(Path("involvedObject.namespace"), about.view(), "does not match event.namespace");
  }
  errors.each(Path("namespace"), ns.view(), api::isDns1123Subdomain(ns));
}

void validateSeries(const Event& e, FieldErrors& errors) {
  if (!e.series) return;
  if (e.series->count < 2) errors.invalid(Path("series.count"), "", "should be at least 2");
  if (e.series->lastObservedTime.isZero()) errors.required(Path("series.lastObservedTime"), "");
}

BadValue timeValue(const codec::Time& t) { return t.isZero() ? BadValue::raw("null") : BadValue(t.str()); }

class EventStrategy : public Strategy {
 public:
  void validateCreate(const Context& c, const api::Object& o, FieldErrors& errors) const override {
    const auto& e = o.as<Event>();
    validateLegacy(e, c.group.empty(), errors);
    if (c.group.empty()) return;
    validateMeta(e.metadata, true, [](std::string_view name, bool) { return api::isDns1123Subdomain(name); }, Path("metadata"), errors);
    validateSeries(e, errors);
    if (e.eventTime.isZero()) errors.required(Path("eventTime"), "");
    if (!isIn(e.type, {"Normal", "Warning"})) {
      errors.invalid(Path("type"), "", fmt::format("has invalid value: {}", e.type));
    }
    if (!e.firstTimestamp.isZero()) errors.invalid(Path("firstTimestamp"), "", "needs to be unset");
    if (!e.lastTimestamp.isZero()) errors.invalid(Path("lastTimestamp"), "", "needs to be unset");
    if (e.count != 0) errors.invalid(Path("count"), "", "needs to be unset");
    if (!e.source.component.empty() || !e.source.host.empty()) errors.invalid(Path("source"), "", "needs to be unset");
  }

  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& e = o.as<Event>();
    const auto& was = old.as<Event>();
    validateLegacy(e, c.group.empty(), errors);
    if (c.group.empty()) return;
    if (!(e.series == was.series)) validateSeries(e, errors);
    immutable(samePart(o, old, "involvedObject"), Path("involvedObject"), structValue(e.involvedObject), errors);
    immutable(e.reason == was.reason, Path("reason"), e.reason.view(), errors);
    immutable(e.message == was.message, Path("message"), e.message.view(), errors);
    immutable(samePart(o, old, "source"), Path("source"), structValue(e.source), errors);
    immutable(e.firstTimestamp == was.firstTimestamp, Path("firstTimestamp"), timeValue(e.firstTimestamp), errors);
    immutable(e.lastTimestamp == was.lastTimestamp, Path("lastTimestamp"), timeValue(e.lastTimestamp), errors);
    immutable(e.count == was.count, Path("count"), e.count, errors);
    immutable(e.reason == was.reason, Path("reason"), e.reason.view(), errors);
    immutable(e.type == was.type, Path("type"), e.type.view(), errors);
    immutable(e.eventTime == was.eventTime, Path("eventTime"),
              e.eventTime.isZero() ? BadValue::raw("null") : BadValue(e.eventTime.str()), errors);
    immutable(e.action == was.action, Path("action"), e.action.view(), errors);
    immutable(e.related == was.related, Path("related"), e.related ? structValue(*e.related) : BadValue::raw("null"), errors);
    immutable(e.reportingComponent == was.reportingComponent, Path("reportingController"), e.reportingComponent.view(), errors);
    immutable(e.reportingInstance == was.reportingInstance, Path("reportingInstance"), e.reportingInstance.view(), errors);
  }

  bool allowCreateOnUpdate() const override { return true; }
  GarbageCollection defaultGarbageCollection() const override { return GarbageCollection::kUnsupported; }

  std::string selectableField(const api::Object& o, std::string_view path) const override {
    const auto& e = o.as<Event>();
    // The names of events.k8s.io.
    constexpr std::string_view kRegarding = "regarding.";
    if (path.starts_with(kRegarding)) return Strategy::selectableField(o, fmt::format("involvedObject.{}", path.substr(kRegarding.size())));
    if (path == "reportingController") return e.reportingComponent.str();
    if (path == "source") return (e.source.component.empty() ? e.reportingComponent : e.source.component).str();
    return Strategy::selectableField(o, path);
  }

  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& e = o.as<Event>();
    std::string first = e.firstTimestamp.isZero() ? age(e.eventTime, now) : age(e.firstTimestamp, now);
    std::string last = e.lastTimestamp.isZero() ? first : age(e.lastTimestamp, now);
    int64_t count = e.count == 0 ? 1 : e.count;
    if (e.series) {
      last = age(e.series->lastObservedTime, now);
      count = e.series->count;
    }
    std::string target = toLower(e.involvedObject.kind);
    if (!e.involvedObject.name.empty()) target += "/" + e.involvedObject.name.str();
    std::string source = (e.source.component.empty() ? e.reportingComponent : e.source.component).str();
    const auto& host = e.source.host.empty() ? e.reportingInstance : e.source.host;
    if (!host.empty()) source += ", " + host.str();
    return {textCell(last),   textCell(e.type),   textCell(e.reason),          textCell(target),
            textCell(e.involvedObject.fieldPath), textCell(source),            textCell(trimSpace(e.message)),
            textCell(first),  numberCell(count),  textCell(o.name())};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeEvent() { return std::make_unique<EventStrategy>(); }

}  // namespace km::registry
