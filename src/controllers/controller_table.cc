#include "controllers/controller_table.h"

#include "controllers/bootstrap/controller.h"
#include "controllers/certificates/controller.h"
#include "controllers/clusterrole/controller.h"
#include "controllers/deployment/controller.h"
#include "controllers/endpoints/endpoints_controller.h"
#include "controllers/endpoints/mirror.h"
#include "controllers/endpoints/slice_controller.h"
#include "controllers/garbagecollector/controller.h"
#include "controllers/namespace/controller.h"
#include "controllers/nodeipam/controller.h"
#include "controllers/nodelifecycle/controller.h"
#include "controllers/nodelifecycle/taint_eviction.h"
#include "controllers/podgc/controller.h"
#include "controllers/replicaset/controller.h"
#include "controllers/resourcequota/controller.h"
#include "controllers/rootca/controller.h"
#include "controllers/serviceaccount/controller.h"
#include "controllers/serviceaccount/tokens_controller.h"
#include "controllers/servicecidr/controller.h"
#include "controllers/ttl/controller.h"

namespace km::controllers {
namespace {

constexpr ControllerRow kRows[] = {
    {"bootstrap-signer-controller", "bootstrapsigner", "bootstrap-signer", bootstrap::makeSigner, false},
    {"certificatesigningrequest-approving-controller", "csrapproving", "certificate-controller",
     certificates::makeApproving},
    {"certificatesigningrequest-cleaner-controller", "csrcleaner", "certificate-controller", certificates::makeCleaner},
    {"certificatesigningrequest-signing-controller", "csrsigning", "certificate-controller",
     certificates::makeSigning},
    {"clusterrole-aggregation-controller", "clusterrole-aggregation", "clusterrole-aggregation-controller",
     clusterrole::make},
    {"deployment-controller", "deployment", "deployment-controller", deployment::make},
    {"endpoints-controller", "endpoint", "endpoint-controller", endpoints::makeEndpoints},
    {"endpointslice-controller", "endpointslice", "endpointslice-controller", endpoints::makeSlices},
    {"endpointslice-mirroring-controller", "endpointslicemirroring", "endpointslicemirroring-controller",
     endpoints::makeMirror},
    {"garbage-collector-controller", "garbagecollector", "generic-garbage-collector", garbagecollector::make},
    {"namespace-controller", "namespace", "namespace-controller", nscontroller::make},
    {"node-ipam-controller", "nodeipam", "node-controller", nodeipam::make},
    {"node-lifecycle-controller", "nodelifecycle", "node-controller", nodelifecycle::make},
    {"pod-garbage-collector-controller", "podgc", "pod-garbage-collector", podgc::make},
    {"replicaset-controller", "replicaset", "replicaset-controller", replicaset::make},
    {"resourcequota-controller", "resourcequota", "resourcequota-controller", resourcequota::make},
    {"root-ca-certificate-publisher-controller", "root-ca-cert-publisher", "root-ca-cert-publisher",
     rootca::make},
    {"service-cidr-controller", "", "service-cidrs-controller", servicecidr::make},
    {"serviceaccount-controller", "serviceaccount", "service-account-controller", serviceaccount::make},
    {"serviceaccount-token-controller", "serviceaccount-token", "", serviceaccount::makeTokens},
    {"taint-eviction-controller", "", "node-controller", nodelifecycle::makeTaintEviction},
    {"token-cleaner-controller", "tokencleaner", "token-cleaner", bootstrap::makeTokenCleaner, false},
    {"ttl-controller", "ttl", "ttl-controller", ttl::make},
};

}  // namespace

std::span<const ControllerRow> controllerTable() {
  return kRows;
}

const ControllerRow* findController(std::string_view name) {
  for (const ControllerRow& row : kRows) {
    if (row.name == name || (!row.alias.empty() && row.alias == name)) return &row;
  }
  return nullptr;
}

}  // namespace km::controllers
