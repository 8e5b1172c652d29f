#include "api/types/certificates_v1.h"
#include "registry/kinds.h"

namespace km::registry {
namespace {

using api::certificates_v1::CertificateSigningRequest;

class SigningRequestStrategy : public Strategy {
 public:
  // Who asks is what the request's user says, not what is written in it; nobody makes a request that is
  // approved already.
  void prepareForCreate(const Context& c, api::Object& o) const override {
    auto& r = o.as<CertificateSigningRequest>();
    r.spec.username = codec::String();
    r.spec.uid = codec::String();
    r.spec.groups = {};
    r.spec.extra = {};
    if (c.user != nullptr) {
      r.spec.username = c.user->name;
      r.spec.uid = c.user->uid;
      for (const std::string& g : c.user->groups) r.spec.groups.push_back(g);
      for (const auto& [key, values] : c.user->extra) {
        for (const std::string& v : values) r.spec.extra[key].items.push_back(v);
      }
    }
    Strategy::prepareForCreate(c, o);
  }

  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource.empty()) copyPart(o, old, "spec");
    Strategy::prepareForUpdate(c, o, old);
  }

  std::vector<std::string_view> resetFields(std::string_view subresource) const override {
    if (subresource.empty()) return {"spec", "status"};
    return Strategy::resetFields(subresource);
  }
};

}  // namespace

std::unique_ptr<Strategy> makeSigningRequest() {
  return std::make_unique<SigningRequestStrategy>();
}

}  // namespace km::registry
