#include "api/types/core_v1.h"
#include "api/types/storage_v1.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

TEST(StorageTest, ClaimsArePendingAndStay) {
  Kind claims("", "v1", "persistentvolumeclaims");
  auto o = claims.created(R"({"metadata":{"name":"a"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}})");
  EXPECT_EQ(o->as<api::core_v1::PersistentVolumeClaim>().status.phase, "Pending");
  std::string bad = claims.updateErrors(*o, [](api::Object& c) {
    c.as<api::core_v1::PersistentVolumeClaim>().spec.accessModes[0] = "ReadOnlyMany";
  });
  EXPECT_TRUE(bad.starts_with("spec: Forbidden: spec is immutable after creation except resources.requests and "
                              "volumeAttributesClassName for bound claims"))
      << bad;
}

TEST(StorageTest, ClaimsNeedModesAndSize) {
  Kind claims("", "v1", "persistentvolumeclaims");
  std::string bad = claims.createErrors(R"({"metadata":{"name":"a"},"spec":{}})");
  EXPECT_NE(bad.find("spec.accessModes: Required value: at least 1 access mode is required"), std::string::npos) << bad;
  EXPECT_NE(bad.find("spec.resources[storage]: Required value"), std::string::npos) << bad;
}

TEST(StorageTest, VolumesHaveOneSource) {
  Kind volumes("", "v1", "persistentvolumes");
  std::string bad = volumes.createErrors(
      R"({"metadata":{"name":"a"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"]}})");
  EXPECT_EQ(bad, "spec: Required value: must specify a volume type");
}

TEST(StorageTest, ClassesDoNotChange) {
  Kind classes("storage.k8s.io", "v1", "storageclasses");
  auto o = classes.created(R"({"metadata":{"name":"fast"},"provisioner":"x.example.com"})");
  EXPECT_EQ(classes.updateErrors(*o, [](api::Object& c) { c.as<api::storage_v1::StorageClass>().provisioner = "y.example.com"; }),
            "provisioner: Invalid value: \"y.example.com\": field is immutable");
}

}  // namespace
}  // namespace km::registry
