// CertificateSigningRequests: who asks is written down by the server; approval and certificate each have an endpoint of their own.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/types/certificates_v1.h"
#include "api/types/meta_v1.h"
#include "base/base64.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "pki/certificate.h"
#include "pki/request.h"
#include "registry/go_json.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::certificates_v1;
using v1::CertificateSigningRequest;

namespace {

constexpr std::string_view kLegacySigner = "kubernetes.io/legacy-unknown";
constexpr int32_t kShortest = 600;
constexpr std::string_view kUsages[] = {
    "any",           "cert sign",        "client auth",   "code signing",  "content commitment", "crl sign",      "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user",
    "key agreement", "key encipherment", "microsoft sgc", "netscape sgc",  "ocsp signing",       "s/mime",        "server auth",
    "signing",       "timestamping"};

using Conditions = codec::List<v1::CertificateSigningRequestCondition>;

std::vector<size_t> indicesOf(const Conditions& list, std::string_view type) {
  std::vector<size_t> found;
  for (size_t i = 0; i < list.size(); i++) {
    if (list[i].type == type) found.push_back(i);
  }
  return found;
}

Conditions conditionsOf(const Conditions& list, std::string_view type) {
  Conditions found;
  for (size_t i : indicesOf(list, type)) found.push_back(list[i]);
  return found;
}

// Faults that a stored object already has are left to it.
struct Tolerated {
  bool both = false, legacySigner = false, duplicateTypes = false, emptyType = false, duplicateUsages = false, unknownUsages = false;
  bool certificate = false;
  Tolerated() = default;
  explicit Tolerated(const CertificateSigningRequest& old) {
    std::set<std::string_view> types, usages;
    for (const auto& c : old.status.conditions) {
      duplicateTypes = !types.insert(c.type.view()).second || duplicateTypes;
      emptyType = emptyType || c.type.empty();
    }
    both = types.count("Approved") != 0 && types.count("Denied") != 0;
    legacySigner = old.spec.signerName == kLegacySigner;
    for (const auto& u : old.spec.usages) {
      duplicateUsages = !usages.insert(u.view()).second || duplicateUsages;
      unknownUsages = unknownUsages || std::find(std::begin(kUsages), std::end(kUsages), u.view()) == std::end(kUsages);
    }
  }
};

void validateUsages(const v1::CertificateSigningRequestSpec& s, const Tolerated& ok, const Path& p, FieldErrors& errors) {
  if (s.usages.empty()) errors.required(p, "");
  std::vector<std::string_view> known(std::begin(kUsages), std::end(kUsages));
  for (size_t i = 0; i < s.usages.size() && !ok.unknownUsages; i++) {
    if (std::find(known.begin(), known.end(), s.usages[i].view()) == known.end()) errors.notSupported(p.index(i), s.usages[i].view(), known);
  }
  std::set<std::string_view> seen;
  for (size_t i = 0; i < s.usages.size() && !ok.duplicateUsages; i++) {
    if (!seen.insert(s.usages[i].view()).second) errors.duplicate(p.index(i), s.usages[i].view());
  }
}

void validateStatus(const CertificateSigningRequest& r, const Tolerated& ok, FieldErrors& errors) {
  Path p("status.conditions");
  std::set<std::string_view> seen;
  const auto& list = r.status.conditions;
  for (size_t i = 0; i < list.size(); i++) {
    const auto& c = list[i];
    Path at = p.index(i);
    if (!ok.emptyType && c.type.empty()) errors.required(at.child("type"), "");
    bool final = isIn(c.type, {"Approved", "Denied", "Failed"});
    if (c.status.empty()) {
      errors.required(at.child("status"), "");
    } else if (final && c.status != "True") {
      errors.notSupported(at.child("status"), c.status.view(), {"True"});
    } else if (!isIn(c.status, {"True", "False", "Unknown"})) {
      errors.notSupported(at.child("status"), c.status.view(), {"False", "True", "Unknown"});
    }
    std::string_view other = c.type == "Approved" ? "Denied" : c.type == "Denied" ? "Approved" : "-";
    if (!ok.both && seen.count(other) != 0) errors.invalid(p, c.type.view(), "Approved and Denied conditions are mutually exclusive");
    if (!seen.insert(c.type.view()).second && !ok.duplicateTypes) errors.duplicate(at.child("type"), c.type.view());
  }
  if (ok.certificate || r.status.certificate.empty()) return;
  auto parsed = pki::Certificate::allFromPem(r.status.certificate);
  if (!parsed.ok() || parsed->empty()) {
    errors.invalid(Path("status.certificate"), "<certificate data>",
                   parsed.ok() ? "must contain at least one CERTIFICATE PEM block" : parsed.status().message());
  }
}

void validateAll(const CertificateSigningRequest& r, const Tolerated& ok, FieldErrors& errors) {
  Path p("spec");
  auto request = pki::parseRequest(r.spec.request);
  if (!request.ok()) errors.invalid(p.child("request"), base64Encode(r.spec.request), request.status().message());
  validateUsages(r.spec, ok, p.child("usages"), errors);
  if (!ok.legacySigner && r.spec.signerName == kLegacySigner) {
    errors.invalid(p.child("signerName"), r.spec.signerName.view(), "the legacy signerName is not allowed via this API version");
  } else {
    signerName(r.spec.signerName, p.child("signerName"), errors);
  }
  if (r.spec.expirationSeconds && *r.spec.expirationSeconds < kShortest) {
    errors.invalid(p.child("expirationSeconds"), *r.spec.expirationSeconds, "may not specify a duration less than 600 seconds (10 minutes)");
  }
  validateStatus(r, ok, errors);
}

// The decisions may only be made by way of `approval`, the certificate by way of `status`; nothing is taken back.
void validateChange(std::string_view subresource, const CertificateSigningRequest& r, const CertificateSigningRequest& old, FieldErrors& errors) {
  Path p("status.conditions");
  for (std::string_view t : {"Approved", "Denied", "Failed"}) {
    if (indicesOf(r.status.conditions, t).size() < indicesOf(old.status.conditions, t).size()) {
      errors.forbidden(p, fmt::format("updates may not remove a condition of type {}", api::goQuote(t)));
    }
  }
  for (std::string_view t : {"Approved", "Denied"}) {
    if (subresource == "approval") break;
    v1::CertificateSigningRequestStatus now, was;
    now.conditions = conditionsOf(r.status.conditions, t);
    was.conditions = conditionsOf(old.status.conditions, t);
    if (now.conditions.size() > was.conditions.size()) {
      errors.forbidden(p, fmt::format("updates may not add a condition of type {}", api::goQuote(t)));
    } else if (now.conditions.size() == was.conditions.size() && !codec::equal(&now, &was, v1::CertificateSigningRequestStatus::kType)) {
      errors.forbidden(p, fmt::format("updates may not modify a condition of type {}\n{}", api::goQuote(t), goDiff(was, now)));
    }
  }
  if (r.status.certificate == old.status.certificate) return;
  if (subresource != "status") {
    errors.forbidden(Path("status.certificate"), "updates may not set certificate content");
  } else if (!old.status.certificate.empty()) {
    errors.forbidden(Path("status.certificate"), "updates may not modify existing certificate content");
  }
}

// Gives times to conditions that have none; a state that lasts keeps the time of its transition.
void stamp(CertificateSigningRequest& r, const CertificateSigningRequest& old, WallTime wall) {
  codec::Time now(wall);
  now.nanos = 0;
  for (auto& c : r.status.conditions) {
    if (c.lastUpdateTime.isZero()) c.lastUpdateTime = now;
    if (!c.lastTransitionTime.isZero()) continue;
    c.lastTransitionTime = now;
    for (const auto& o : old.status.conditions) {
      if (o.type != c.type || o.status != c.status || o.lastTransitionTime.isZero()) continue;
      c.lastTransitionTime = o.lastTransitionTime;
      break;
    }
  }
}

void keepDecisions(CertificateSigningRequest& r, const CertificateSigningRequest& old) {
  for (std::string_view t : {"Approved", "Denied"}) {
    auto now = indicesOf(r.status.conditions, t), was = indicesOf(old.status.conditions, t);
    if (now.size() != was.size()) continue;
    for (size_t i = 0; i < now.size(); i++) r.status.conditions[now[i]] = old.status.conditions[was[i]];
  }
}

class SigningRequestStrategy : public OtherStrategy {
 public:
  // A request may have any name.
  api::Messages validateName(std::string_view, bool) const override { return {}; }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    auto& s = o.as<CertificateSigningRequest>().spec;
    s.username = "";
    s.uid = "";
    s.groups.clear();
    s.extra.clear();
    if (c.user == nullptr) return;
    s.username = c.user->name;
    s.uid = c.user->uid;
    for (const auto& g : c.user->groups) s.groups.push_back(g);
    for (const auto& [key, values] : c.user->extra) {
      for (const auto& value : values) s.extra[key].items.push_back(value);
    }
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    auto& r = o.as<CertificateSigningRequest>();
    const auto& was = old.as<CertificateSigningRequest>();
    copyPart(o, old, "spec");
    if (c.subresource == "status") {
      keepDecisions(r, was);
      stamp(r, was, c.now);
    } else if (c.subresource == "approval") {
      stamp(r, was, c.now);
      r.status.certificate = was.status.certificate;
    } else {
      copyPart(o, old, "status");
    }
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateAll(o.as<CertificateSigningRequest>(), {}, errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto &r = o.as<CertificateSigningRequest>(), &was = old.as<CertificateSigningRequest>();
    Tolerated ok(was);
    ok.certificate = r.status.certificate == was.status.certificate;
    validateAll(r, ok, errors);
    validateChange(c.subresource, r, was, errors);
  }
  void validateStatusUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateUpdate(c, o, old, errors);
  }
  std::vector<std::string_view> resetFields(std::string_view subresource) const override {
    if (subresource == "status") return {"spec", "status.conditions"};
    if (subresource == "approval") return {"spec", "status.certificate"};
    return {"spec", "status"};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeSigningRequest() { return std::make_unique<SigningRequestStrategy>(); }

}  // namespace km::registry
