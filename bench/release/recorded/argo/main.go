// Recorder: what the AnalysisRun controller of Argo Rollouts itself says of scripted measurements.
//
//	go run . ../cases/argo.json
//
// Reads the cases' metrics and measurements, answers the controller's Prometheus queries with them, and writes the phase
// after each measurement back into the file. The controller is the real one; only its clock and its clients are not.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/argoproj/argo-rollouts/analysis"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/pkg/client/clientset/versioned/fake"
	informers "github.com/argoproj/argo-rollouts/pkg/client/informers/externalversions"
	"github.com/argoproj/argo-rollouts/utils/record"
	timeutil "github.com/argoproj/argo-rollouts/utils/time"
	log "github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	kubeinformers "k8s.io/client-go/informers"
	k8sfake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/util/workqueue"
)

//go:linkname reconcile github.com/argoproj/argo-rollouts/analysis.(*Controller).reconcileAnalysisRun
func reconcile(c *analysis.Controller, run *v1alpha1.AnalysisRun) *v1alpha1.AnalysisRun

type metric struct {
	SuccessCondition      string `json:"successCondition"`
	FailureCondition      string `json:"failureCondition,omitempty"`
	Count                 *int   `json:"count,omitempty"`
	FailureLimit          *int   `json:"failureLimit,omitempty"`
	InconclusiveLimit     *int   `json:"inconclusiveLimit,omitempty"`
	ConsecutiveErrorLimit *int   `json:"consecutiveErrorLimit,omitempty"`
}

// A measurement is what Prometheus gives: "0.97", "NaN", "empty" (no series) or "unavailable" (HTTP 503).
type testCase struct {
	Name         string   `json:"name"`
	Metric       metric   `json:"metric"`
	Measurements []string `json:"measurements"`
	// TerminateAfter ends the run, as a rollout does once its steps are over.
	TerminateAfter bool     `json:"terminateAfter,omitempty"`
	Phases         []string `json:"phases"`
}

type document struct {
	Program string     `json:"program"`
	Cases   []testCase `json:"cases"`
}

const interval = "60s"

func number(value *int) *intstr.IntOrString {
	if value == nil {
		return nil
	}
	found := intstr.FromInt32(int32(*value))
	return &found
}

func main() {
	log.SetOutput(io.Discard)
	path := os.Args[1]
	text, err := os.ReadFile(path)
	must(err)
	var told document
	must(json.Unmarshal(text, &told))
	for index := range told.Cases {
		recordOne(&told.Cases[index])
	}
	out, err := json.MarshalIndent(told, "", " ")
	must(err)
	must(os.WriteFile(path, append(out, '\n'), 0o644))
}

func recordOne(one *testCase) {
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer == "unavailable" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		result := ""
		if answer != "empty" {
			result = fmt.Sprintf(`{"metric":{},"value":[1,%q]}`, answer)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
	}))
	defer server.Close()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	timeutil.SetNowTimeFunc(func() time.Time { return now })
	controller := newController()
	run := &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{Name: "run", Namespace: "default"},
		Spec: v1alpha1.AnalysisRunSpec{Metrics: []v1alpha1.Metric{{
			Name:                  "success-rate",
			Interval:              interval,
			SuccessCondition:      one.Metric.SuccessCondition,
			FailureCondition:      one.Metric.FailureCondition,
			Count:                 number(one.Metric.Count),
			FailureLimit:          number(one.Metric.FailureLimit),
			InconclusiveLimit:     number(one.Metric.InconclusiveLimit),
			ConsecutiveErrorLimit: number(one.Metric.ConsecutiveErrorLimit),
			Provider: v1alpha1.MetricProvider{
				Prometheus: &v1alpha1.PrometheusMetric{Address: server.URL, Query: "success_rate"},
			},
		}}},
	}
	one.Phases = nil
	for _, answer = range one.Measurements {
		run = reconcile(controller, run)
		one.Phases = append(one.Phases, string(run.Status.Phase))
		now = now.Add(61 * time.Second)
	}
	if one.TerminateAfter {
		run = run.DeepCopy()
		run.Spec.Terminate = true
		run = reconcile(controller, run)
		one.Phases = append(one.Phases, string(run.Status.Phase))
	}
}

func newController() *analysis.Controller {
	client, kube := fake.NewSimpleClientset(), k8sfake.NewSimpleClientset()
	ours := informers.NewSharedInformerFactory(client, 0)
	theirs := kubeinformers.NewSharedInformerFactory(kube, 0)
	return analysis.NewController(analysis.ControllerConfig{
		KubeClientSet:        kube,
		ArgoProjClientset:    client,
		AnalysisRunInformer:  ours.Argoproj().V1alpha1().AnalysisRuns(),
		JobInformer:          theirs.Batch().V1().Jobs(),
		JobPodsInformer:      theirs.Core().V1().Pods(),
		AnalysisRunWorkQueue: workqueue.NewNamedRateLimitingQueue(workqueue.DefaultControllerRateLimiter(), "runs"),
		Recorder:             record.NewFakeEventRecorder(),
	})
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}
