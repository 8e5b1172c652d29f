#include "controllers/ref_manager.h"

#include "codec/json.h"

namespace km::controllers {

Status adopt(client::Client& client, const codec::TypeInfo& type, const ObjectMeta& object, const OwnerReference& owner) {
  std::string body = R"({"metadata":{"ownerReferences":[)";
  codec::encodeJson(body, &owner, OwnerReference::kType, "");
  body += R"(],"uid":")" + object.uid.str() + "\"}}";
  return client
      .patch(client::target(type, object.namespace_, object.name), client::PatchType::kStrategicMerge, std::move(body),
             writeOptions())
      .status();
}

Status release(client::Client& client, const codec::TypeInfo& type, const ObjectMeta& object, std::string_view ownerUid) {
  std::string body = R"({"metadata":{"uid":")" + object.uid.str() + R"(","ownerReferences":[{"$patch":"delete","uid":")" +
                     std::string(ownerUid) + "\"}]}}";
  Status s = client
                 .patch(client::target(type, object.namespace_, object.name), client::PatchType::kStrategicMerge,
                        std::move(body), writeOptions())
                 .status();
  if (s.code() == 404 || s.code() == 422 || s.is("Conflict")) return {};
  return s;
}

}  // namespace km::controllers
